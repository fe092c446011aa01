"""Types and marks of the keys of config.yaml.

- `ConfigPath`: a path; a relative one starts at config.yaml's folder.
- `ReadableFile`: the same; the file must be readable before the daemon starts.
- `SecretFile`: the same; the file holds a secret and must not be empty.
- `Share`: a number from 0 to 1, or a percentage.
- `OnlyFor(…)`: the key has an effect only for these kinds of source or trigger.
- `NeedsRestart()`: a reload cannot apply a change of this key.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, Strict, ValidationInfo
from pydantic_core import PydanticCustomError

from edge.core.regular_file import read_named
from edge.core.text import decode_text, fault_in

_CREDENTIALS = "/run/credentials/edge-inspect.service"
_MAX_BYTES = 1_000_000
_PERCENTAGE = r"[0-9]+(\.[0-9]+)? ?%"


class OnlyFor:
    """The kinds of source or trigger for which a key has an effect."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)


@dataclass(frozen=True, slots=True)
class NeedsRestart:
    """Consumers, open files or ports depend on the key. `embedded`: only with that broker."""

    embedded: bool = False


def kinds_of(model: type[BaseModel], key: str) -> frozenset[str] | None:
    """The kinds that `OnlyFor` names for a key; None when it fits every kind."""
    marks = model.model_fields[key].metadata
    return next((mark.kinds for mark in marks if isinstance(mark, OnlyFor)), None)


def keys_for(model: type[BaseModel], kind: str) -> frozenset[str]:
    """The keys that have an effect for one kind of source or trigger."""
    return frozenset(key for key in model.model_fields if kind in (kinds_of(model, key) or {kind}))


def folder_of(info: ValidationInfo) -> Path | None:
    """The folder of the file that is read; None when no file is read."""
    return info.context.get("folder") if info.context else None


def resolve(path: Path, info: ValidationInfo) -> Path:
    """The path from config.yaml's folder. `credential:NAME` is the file of systemd's
    LoadCredential=NAME:…."""
    folder = folder_of(info)
    if folder is None:
        return path
    prefix, colon, name = str(path).partition(":")
    if prefix == "credential" and colon and name and "/" not in name:
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", _CREDENTIALS), name)
    return folder / path


def _is_checked(info: ValidationInfo) -> bool:
    """Whether the files that a key names must be readable: when a file is read, for the daemon."""
    return bool(info.context and "folder" in info.context and info.context.get("check_files", True))


def _check_readable(file: Path, info: ValidationInfo) -> Path:
    if _is_checked(info):
        _content(file)
    return file


def _check_secret(file: Path, info: ValidationInfo) -> Path:
    if not _is_checked(info):
        return file
    content = _content(file)
    try:
        text = _secret_in(content)
    except UnicodeDecodeError as error:
        raise _error(f"not UTF-8 text (byte {error.start}); save it as UTF-8", file) from None
    except ValueError as error:
        raise _error(f"{error}; write one line of text", file) from None
    if not text.strip():
        raise _error("is empty; write the secret into it", file)
    return file


def read_secret(file: Path) -> str:
    """The text of a file of a secret, as Windows or Linux writes it: without byte order mark and
    line end. Raises OSError, or ValueError when it is no text."""
    return _secret_in(read_named(file, _MAX_BYTES))


def _secret_in(content: bytes) -> str:
    text = decode_text(content).strip("\r\n")
    if (fault := fault_in(text.replace("\n", " ").replace("\r", " "))) is not None:
        raise ValueError(fault.partition(";")[0])
    return text


def _content(file: Path) -> bytes:
    try:
        return read_named(file, _MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        why = error.strerror if isinstance(error, OSError) else error
        text = f"cannot be read ({why}); check the path and permissions"
        raise _error(text, file) from None


def _error(text: str, got: Path | str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{text}", {"text": f"{text} (got '{got}')"})


def _share(value: Any) -> Any:
    """A percentage as a share; any other value as it is."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(_PERCENTAGE, value) is None or float(value[:-1]) > 100:
        text = "must be a number from 0 to 1, without quotes, or a percentage such as 0.5%"
        raise _error(text, value)
    return float(value[:-1]) / 100


def names_model(path: Path | str) -> bool:
    """Whether a model's path is the name of a model: no folder in it, and no .tflite at the end."""
    return "/" not in str(path) and not str(path).endswith(".tflite")


def _model_path(text: object, info: ValidationInfo) -> object:
    """A name stays as it is; a path starts at the file's folder. `Path` would drop the `./`."""
    if not isinstance(text, str) or names_model(text):
        return text
    return resolve(Path(text), info)


# Not strict: a file holds text, never a Path.
ConfigPath = Annotated[Path, Strict(False), AfterValidator(resolve)]
ModelPath = Annotated[Path, Strict(False), BeforeValidator(_model_path)]
ReadableFile = Annotated[ConfigPath, AfterValidator(_check_readable)]
SecretFile = Annotated[ConfigPath, AfterValidator(_check_secret)]
_Fraction = Annotated[float, Field(ge=0, le=1)]
_Percentage = Annotated[str, Field(pattern=f"^{_PERCENTAGE}$")]
Share = Annotated[
    _Fraction, BeforeValidator(_share, json_schema_input_type=_Fraction | _Percentage)
]
