"""Reads config.yaml. Reports all mistakes at once, each with line, column, key and value."""

import json
from pathlib import Path
from typing import Any

from edge.config.folders import circles
from edge.config.pins import pin_mistakes
from edge.config.recipe_merge import mistakes
from edge.config.schema import Config
from edge.config.yaml_reader import Document, YamlError, read_yaml
from edge.core.errors import ConfigError
from edge.core.redaction import is_secret_name, mask_secrets
from edge.core.text import Loc, decode_text, fault_in, one_line
from edge.core.validation import Problem, ValidationError, key_path

_MAX_BYTES = 1_000_000
_MAX_SENTENCES = 50
_COMMENT = "x-"  # keys of the top level for anchors and notes


class _Source:
    """The file's name and mistakes, and the place of each key."""

    def __init__(self, name: str, document: Document) -> None:
        self.name = name
        self.plain = document.plain
        self._places = document.places
        self._problems = list(document.problems)
        self._wrong_keys = {key for _, _, key, _ in document.problems}

    def place(self, loc: Loc) -> tuple[int, int]:
        while loc and loc not in self._places:
            loc = loc[:-1]
        return self._places.get(loc, (1, 1))

    def add(self, loc: Loc, text: str) -> None:
        self._problems.append((*self.place(loc), key_path(loc), text))

    @property
    def has_problems(self) -> bool:
        return bool(self._problems)

    def has_problem(self, loc: Loc) -> bool:
        """Whether the reader has found a mistake there, which explains all others."""
        return key_path(loc) in self._wrong_keys

    def sentences(self) -> list[str]:
        ordered = sorted(dict.fromkeys(self._problems))
        found = [
            one_line(f"{self.name}:{line}:{column}: {key or 'config'}: {text}")
            for line, column, key, text in ordered[:_MAX_SENTENCES]
        ]
        if len(ordered) > _MAX_SENTENCES:
            line, column, *_ = ordered[_MAX_SENTENCES]
            more = len(ordered) - _MAX_SENTENCES
            found.append(f"{self.name}:{line}:{column}: {more} more mistakes; correct these first")
        return found


def load_config(path: Path, *, check_files: bool = True) -> Config:
    """Reads a file; relative paths start at its folder. Raises ConfigError with all mistakes.

    check_files: whether passwords and certificates must be readable. A command that only asks the
    box's records runs as a user who may not read them.
    """
    folder = path.resolve().parent
    if (fault := fault_in(str(folder))) is not None:
        raise ConfigError([f"{one_line(str(folder))}: the name of a folder {fault}: rename it"])
    return parse_config(_read_text(path), str(path), folder, check_files=check_files)


def _read_text(path: Path) -> str:
    try:
        # a folder, a device, or a pipe without a writer must not block a reload
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigError([f"{path}:1:1: is no file; name the file with -c FILE"])
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            [f"{path}: cannot be read ({why}); name the file with -c FILE"]
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError([f"{path}:1:1: larger than {_MAX_BYTES} bytes; this is no config.yaml"])
    try:
        return decode_text(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(
            [f"{path}:{line}:{column}: not UTF-8 text (byte {error.start}); save it as UTF-8"]
        ) from error


def key_position(path: Path, *loc: str | int) -> str:
    """`FILE:LINE:COLUMN` of a key, or of its section when the key is absent."""
    try:
        source = _Source(str(path), read_yaml(_read_text(path)))
    except (ConfigError, YamlError):
        return f"{path}:1:1"  # the file has changed since it was read
    line, column = source.place(loc)
    return f"{path}:{line}:{column}"


def parse_config(text: str, name: str, folder: Path, *, check_files: bool = True) -> Config:
    """Reads a text. `name` is for messages; relative paths start at `folder`."""
    try:
        document = read_yaml(text)
    except YamlError as error:
        line, column = error.place
        raise ConfigError([f"{one_line(name)}:{line}:{column}: {error.text}"]) from None
    source = _Source(name, document)
    data = _keys_of(document, source)
    _check_unique_ids(data, source)
    data = _with_a_model(data)
    try:
        config = Config.read(data, folder=folder, check_files=check_files)
    except ValidationError as error:
        for problem in error.problems:
            if not source.has_problem(problem.loc):
                _add_problem(problem, source)
        raise ConfigError(source.sentences()) from None
    for index, mistake in circles(config.cameras):
        source.add(("cameras", index, "move_to"), mistake)
    for loc, mistake in mistakes(config):
        source.add(loc, mistake)
    for loc, mistake in pin_mistakes(config):
        source.add(loc, mistake)
    if source.has_problems:
        raise ConfigError(source.sentences())
    return config


def _keys_of(document: Document, source: _Source) -> dict[str, Any]:
    """The keys of the top level, without those that begin with `x-`."""
    if not isinstance(document.data, dict):
        if document.problems:
            raise ConfigError(source.sentences())
        fix = "start from the config.yaml that comes with edge-inspect"
        got = _shown(document.data, "")
        wide = "; write : and a space, not the wide ：" if "：" in got else ""
        line, column = source.place(())
        raise ConfigError(
            [f"{source.name}:{line}:{column}: holds no keys; {fix}{wide} (got {got})"]
        )
    return {key: value for key, value in document.data.items() if not key.startswith(_COMMENT)}


def _with_a_model(data: dict[str, Any]) -> dict[str, Any]:
    """When every recipe names its model, the first one's serves what belongs to no recipe, such as
    `edge-inspect predict`."""
    model, recipes = data.get("model", {}), data.get("recipes")
    if not isinstance(model, dict) or "path" in model or not isinstance(recipes, list):
        return data
    named = [one.get("model") if isinstance(one, dict) else None for one in recipes]
    if not named or not all(isinstance(name, str) for name in named):
        return data
    return {**data, "model": {**model, "path": named[0]}}


def _check_unique_ids(data: dict[str, Any], source: _Source) -> None:
    first: dict[str, int] = {}
    cameras = data.get("cameras")
    for index, camera in enumerate(cameras if isinstance(cameras, list) else ()):
        name = camera.get("id") if isinstance(camera, dict) else None
        if not isinstance(name, str):
            continue
        if name in first:
            source.add(
                ("cameras", index, "id"),
                f"camera {first[name] + 1} has this id too; give each its own (got {name!r})",
            )
        first.setdefault(name, index)


def _add_problem(problem: Problem, source: _Source) -> None:
    text, got = problem.text, problem.got
    raw = source.plain.get(problem.loc)
    if problem.kind == "unknown" and str(problem.loc[-1]).startswith(_COMMENT):
        text = "keys that begin with x- are for the top level of the file; move it there"
    if problem.kind in ("missing", "rule"):
        source.add(problem.loc, text)
        return
    if problem.kind == "unknown" and "did you mean" not in text and isinstance(got, str):
        source.add(problem.loc, text)  # the value may be a secret
        return
    shown = _shown(got, problem.loc[-1] if problem.loc else "")
    if problem.kind == "type" and raw is not None:
        text, shown = _without_quotes(text, raw, got, shown)
    if problem.kind == "unknown" and is_secret_name(text):  # the text names the key that is close
        shown = _shown(got, "password")
    source.add(problem.loc, f"{text} (got {shown})")


def _without_quotes(text: str, raw: str, got: Any, shown: str) -> tuple[str, str]:
    """The sentence for a value that was written without quotes as `raw`."""
    text = text.removesuffix(", without quotes")
    if isinstance(got, str):
        if "number" in text and (number := _number(got)) is not None:
            text += f"; YAML reads {raw} as text, write {number}"
        return text, shown
    if not raw:
        return f"{text}; write one, or remove the key", "nothing"
    if text.startswith("must be text"):
        text += f'; put it in quotes: "{raw:.60}"'
    if raw.lower() != shown.lower():
        shown = f"{raw:.60}, which YAML reads as {shown}"
    return text, shown


def _number(text: str) -> str | None:
    """The number in a spelling that YAML knows; None when it is no number."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not abs(value) <= 1e15:  # NaN too
        return None
    return str(int(value)) if value == int(value) else f"{value:f}".rstrip("0")


def _shown(value: object, key: str | int) -> str:
    """A value of this key for a sentence: without secrets, and cut to 80 characters."""
    text = json.dumps(mask_secrets(value, key), ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "…"
