"""docs/architecture.md: each function that it names exists, and the way of a frame stays short."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PAGE = (_ROOT / "docs/architecture.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(edge/[\w/]+\.py)`:\s+`([\w.]+)`")
_AT_START = re.compile(r"^\d+\. `(edge/[\w/]+\.py)`", re.MULTILINE)
_MOST_FILES = 20


def _functions(path: Path) -> set[str]:
    """The functions and methods of a module, as `function` or `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{e.name}" for e in node.body if isinstance(e, ast.FunctionDef)}
    return found


def test_each_named_function_exists() -> None:
    """A reader can search for every function that the page names."""
    named = _NAMED.findall(_PAGE)
    assert len(named) > _MOST_FILES
    missing = [f"{file}: {name}" for file, name in named if name not in _functions(_ROOT / file)]
    assert missing == []


def test_a_frame_passes_at_most_twenty_files() -> None:
    """One JPEG frame goes from the socket to paho's `publish` through at most 20 files."""
    assert len(set(_AT_START.findall(_PAGE))) <= _MOST_FILES
