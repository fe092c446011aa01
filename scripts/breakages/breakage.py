"""One deliberate defect in the code."""

from dataclasses import dataclass

from scripts.code_edit import Edit


@dataclass(frozen=True, slots=True)
class Breakage:
    """One defect: its name, its edit, and the tests that must notice it."""

    name: str
    edit: Edit
    tests: str
