"""Marks on the keys of config.yaml.

- `ConfigRelative()`: a path; a relative one starts at config.yaml's folder.
- `ReadAtStart()`: the same; the file must be readable before the daemon starts.
- `Secret()`: the same; the file holds a secret and must not be empty.
- `OnlyFor(…)`: the key has an effect only for these kinds of source or trigger.
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
    """A path relative to config.yaml's folder; `credential:NAME` is a systemd credential."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Turns text into a Path, then resolves it."""
        path = {**handler(source), "strict": False}  # a file holds text, never a Path
        return core_schema.with_info_after_validator_function(self._resolve, path)

    def _resolve(self, path: Path, info: Any) -> Path:
        folder = folder_of(info)
        return path if folder is None else resolved(path, folder)


class ReadAtStart(ConfigRelative):
    """A file that must be readable when config.yaml is read, not only when it is used."""

    __slots__ = ()

    def _resolve(self, path: Path, info: Any) -> Path:
        if (folder := folder_of(info)) is None:
            return path
        file = resolved(path, folder)
        try:
            with file.open("rb") as opened:
                problem = self._problem(opened.read(_MAX_BYTES))
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            why = error.strerror if isinstance(error, OSError) else error
            problem = f"cannot be read ({why}); check the path and permissions"
        if problem:
            raise PydanticCustomError("rule", "{text}", {"text": f"{problem} (got '{file}')"})
        return file

    def _problem(self, content: bytes) -> str:  # noqa: ARG002  for `Secret`
        return ""


class Secret(ReadAtStart):
    """A file with a secret: text, not empty."""

    __slots__ = ()

    def _problem(self, content: bytes) -> str:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            return f"not UTF-8 text (byte {error.start}); save it as UTF-8"
        return "" if text.strip() else "is empty; write the secret into it"


class OnlyFor:
    """The kinds of source or trigger for which a key has an effect."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)


@dataclass(frozen=True, slots=True)
class NeedsRestart:
    """Consumers, open files or ports depend on the key. `embedded`: only with that broker."""

    embedded: bool = False


def kinds_of(kind: type[BaseModel], key: str) -> frozenset[str] | None:
    """The kinds that `OnlyFor` names for a field; None when it fits every kind."""
    marks = kind.model_fields[key].metadata
    return next((mark.kinds for mark in marks if isinstance(mark, OnlyFor)), None)


def folder_of(info: ValidationInfo) -> Path | None:
    """The folder of the file that is read; None when no file is read."""
    return info.context.get("folder") if info.context else None


def resolved(path: Path, folder: Path) -> Path:
    """An absolute path. `credential:NAME` is the file of systemd's LoadCredential=NAME:…."""
    prefix, colon, name = str(path).partition(":")
    if prefix == "credential" and colon and name and "/" not in name:
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", _CREDENTIALS), name)
    return folder / path
