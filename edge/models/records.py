"""What the store writes of a version and of a model name, as JSON files."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from edge.core.errors import RefusedError
from edge.core.messages import to_json
from edge.core.record import Items, Model, Pattern
from edge.core.regular_file import read_at_most
from edge.core.text import one_line, parse_json
from edge.core.validation import ValidationError

_MAX_BYTES = 65_536
# A file name and a topic level; the longest in UTF-8 is below a file system's 255 bytes.
_NAME = r"[^\W_][\w.-]{0,47}"
NAME_RULE = "be 1 to 48 letters, digits, '.', '_' or '-', and begin with a letter or digit"

ModelName = Annotated[str, Pattern(_NAME, NAME_RULE)]
Sha256 = Annotated[str, Pattern("[0-9a-f]{64}", "be 64 hexadecimal digits")]
Counter = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


def is_model_name(text: str) -> bool:
    """Whether a text can be a model's name in the store."""
    return re.fullmatch(_NAME, text) is not None


class _Stored(Model):
    """A JSON file of the store."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises FileNotFoundError, or RefusedError for a file that is damaged or unreadable."""
        try:
            return cls.read(parse_json(read_at_most(path, _MAX_BYTES)))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise RefusedError(
                f"{path}: the record of the model store cannot be read ({one_line(str(why)):.200})"
                "; check the disk, and install and activate the model again"
            ) from error

    def data(self) -> bytes:
        """The content of the file."""
        return to_json(self.to_dict()) + b"\n"


class Version(_Stored):
    """An installed version: what its model file and its signature say.

    - `size`: of the model file, in bytes.
    - `counter`: of the signature's trusted comment; 0 for an unsigned file.
    - `key_id`: the key that signed it; None: unsigned when it was installed.
    - `at`, `by`: when it was installed, RFC 3339, and by whom.
    """

    schema_: Annotated[Literal["edge-inspect/model-version/1"], Field(alias="schema")] = (
        "edge-inspect/model-version/1"
    )
    sha256: Sha256
    name: ModelName
    version: str
    size: Annotated[int, Field(ge=0)]
    labels: Items[str]
    ok_label: str
    counter: Counter = 0
    key_id: str | None = None
    at: str
    by: str

    @property
    def title(self) -> str:
        """`name@version`, as commands take and print it."""
        return one_line(f"{self.name}@{self.version}")


class NameRecord(_Stored):
    """The versions of one name, by SHA-256.

    - `active`: the one that judges; None: none was activated.
    - `previous`: the one that `rollback` activates.
    - `counter`: the highest of any version that was active or removed.
    - `at`, `by`: of the last switch.
    - `on_probation`: the active version is new and may be sent back: edge/models/probation.py.
    """

    schema_: Annotated[Literal["edge-inspect/model-name/1"], Field(alias="schema")] = (
        "edge-inspect/model-name/1"
    )
    name: ModelName
    active: Sha256 | None = None
    previous: Sha256 | None = None
    counter: Counter = 0
    at: str = ""
    by: str = ""
    on_probation: bool = False


class ShadowRecord(_Stored):
    """The version that judges along on live parts, so that a restart goes on. `by`: who asked."""

    schema_: Annotated[Literal["edge-inspect/model-shadow/1"], Field(alias="schema")] = (
        "edge-inspect/model-shadow/1"
    )
    name: ModelName
    version: str
    sha256: Sha256
    by: str

    @property
    def title(self) -> str:
        """`name@version`."""
        return one_line(f"{self.name}@{self.version}")


class WaitingRecord(_Stored):
    """An activation that waits for its window, so that a restart goes on. `by`: who asked."""

    schema_: Annotated[Literal["edge-inspect/model-waiting/1"], Field(alias="schema")] = (
        "edge-inspect/model-waiting/1"
    )
    name: ModelName
    version: str
    sha256: Sha256
    at: str
    by: str

    @property
    def title(self) -> str:
        """`name@version`."""
        return one_line(f"{self.name}@{self.version}")


class ProbationRecord(_Stored):
    """The probation of an active version, so that a restart goes on.

    - `sha256`, `at`: the version, and the time of the switch that began it.
    - `past_parts`, `past_hits`: verdicts of the version before, and how many of each rate.
    - `slow_ms`: from here on a verdict counts as slow; None: unknown.
    - `reason`: why the version goes back.
    """

    schema_: Annotated[Literal["edge-inspect/model-probation/1"], Field(alias="schema")] = (
        "edge-inspect/model-probation/1"
    )
    name: ModelName
    sha256: Sha256
    at: str
    state: Literal["running", "passed", "returning", "returned"] = "running"
    parts: Count
    false_returns: Annotated[float, Field(gt=0, lt=1)]
    past_parts: Count
    past_hits: dict[str, Count]
    slow_ms: float | None = None
    seen: Count = 0
    hits: dict[str, Count] = Field(default_factory=dict)
    reason: str | None = None
