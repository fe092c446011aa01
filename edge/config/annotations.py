"""What a key of config.yaml is, said where the key stands.

- `ConfigRelative()`: a path; a relative one counts from the folder of config.yaml.
- `ReadAtStart()`: such a path to a file that must be readable before the daemon starts.
- `Secret()`: such a file that holds a secret; an empty one is a mistake.
- `OnlyFor(…)`: the key does something only for these kinds of source or trigger.
- `NeedsRestart()`: a reload cannot apply a change of this key.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_CREDENTIALS = "/run/credentials/edge-inspect.service"
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ConfigRelative:
    """A path that counts from the folder of the file; `credential:NAME` is systemd's."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Text becomes a Path, which then counts from the folder."""
        path = {**handler(source), "strict": False}  # a file holds text, never a Path
        return core_schema.with_info_after_validator_function(self._resolve, path)

    def _resolve(self, path: Path, info: Any) -> Path:
        folder = folder_of(info)
        return path if folder is None else resolved(path, folder)


class ReadAtStart(ConfigRelative):
    """A file whose absence is found when config.yaml is read, not when the file is needed."""

    __slots__ = ()

    def _resolve(self, path: Path, info: Any) -> Path:
        if (folder := folder_of(info)) is None:
            return path
        file = resolved(path, folder)
        try:
            with file.open("rb") as opened:
                self._check(opened.read(_MAX_BYTES))
        except UnicodeDecodeError as error:
            raise _wrong(f"not UTF-8 text (byte {error.start}); save it so", file) from None
        except EmptyFileError:
            raise _wrong("is empty; write the secret into it", file) from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            text = f"cannot be read ({why}); check the path and permissions"
            raise _wrong(text, file) from None
        return file

    def _check(self, content: bytes) -> None:
        """Any content will do."""


class EmptyFileError(ValueError):
    """A file of a secret holds none."""


class Secret(ReadAtStart):
    """A file that holds a secret: text, not empty."""

    __slots__ = ()

    def _check(self, content: bytes) -> None:
        if not content.decode().strip():
            raise EmptyFileError


@dataclass(frozen=True, slots=True, init=False)
class OnlyFor:
    """The kinds of source or trigger for which a key does something."""

    kinds: frozenset[str]

    def __init__(self, *kinds: str) -> None:
        object.__setattr__(self, "kinds", frozenset(kinds))


@dataclass(frozen=True, slots=True)
class NeedsRestart:
    """Consumers, open files or ports depend on the key. `embedded`: with that broker only."""

    embedded: bool = False


def kinds_of(kind: type[BaseModel], key: str) -> frozenset[str] | None:
    """The kinds that `OnlyFor` names for a field; None for a field that fits every kind."""
    marks = kind.model_fields[key].metadata
    return next((mark.kinds for mark in marks if isinstance(mark, OnlyFor)), None)


def folder_of(info: ValidationInfo) -> Path | None:
    """The folder of the file that is being read; None where no file is being read."""
    return info.context.get("folder") if info.context else None


def resolved(path: Path, folder: Path) -> Path:
    """An absolute path; `credential:NAME` is the file that LoadCredential=NAME:… makes."""
    prefix, colon, name = str(path).partition(":")
    if prefix == "credential" and colon and name and "/" not in name:
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", _CREDENTIALS), name)
    return folder / path


def _wrong(text: str, file: Path) -> PydanticCustomError:
    return PydanticCustomError("rule", "{text}", {"text": f"{text} (got '{file}')"})
