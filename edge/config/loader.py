"""Reads config.yaml. Reports all mistakes at once, each with line, column, key and value."""

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from edge.config.folders import circles
from edge.config.schema import Config, mask_credentials
from edge.core.errors import ConfigError
from edge.core.validation import Loc, Problem, ValidationError, key_path

_MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps dates as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(slots=True)
class _Source:
    """The file's mistakes, and the line and column of each key, counted from 1."""

    name: str
    places: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    problems: list[tuple[int, int, str]] = field(default_factory=list)

    def place(self, loc: Loc) -> tuple[int, int]:
        while loc and loc not in self.places:
            loc = loc[:-1]
        return self.places.get(loc, (1, 1))

    def add(self, loc: Loc, text: str) -> None:
        line, column = self.place(loc)
        self.problems.append((line, column, f"{key_path(loc) or 'config'}: {text}"))

    def sentences(self) -> list[str]:
        ordered = sorted(dict.fromkeys(self.problems))
        return [f"{self.name}:{line}:{column}: {text}" for line, column, text in ordered]


def load_config(path: Path) -> Config:
    """Reads a file; relative paths start at its folder. Raises ConfigError with all mistakes."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError([f"{path}: larger than {_MAX_BYTES} bytes; this is no config.yaml"])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            [f"{path}: cannot be read ({error.strerror}); name the file with -c FILE"]
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8"]
        ) from error
    return parse_config(text, str(path), path.resolve().parent)


def key_position(path: Path, *loc: str | int) -> str:
    """`FILE:LINE:COLUMN` of a key, or of its section when the key is absent."""
    source = _Source(str(path))
    try:
        _to_data(path.read_text(encoding="utf-8"), source)
    except (OSError, ConfigError):
        return f"{path}:1:1"  # the file has changed since it was read
    line, column = source.place(loc)
    return f"{path}:{line}:{column}"


def parse_config(text: str, name: str, folder: Path) -> Config:
    """Reads a text. `name` is for messages; relative paths start at `folder`."""
    source = _Source(name)
    data = _to_data(text, source)
    _check_unique_ids(data, source)
    try:
        config = Config.read(data, folder=folder)
    except ValidationError as error:
        for problem in error.problems:
            _add_problem(problem, source)
        raise ConfigError(source.sentences()) from None
    for index, mistake in circles(config.cameras):
        source.add(("cameras", index, "move_to"), mistake)
    if source.problems:
        raise ConfigError(source.sentences())
    return config


def _to_data(text: str, source: _Source) -> dict[str, Any]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        where = f"{source.name}:{line}:{column}"
        fix = 'check indentation and quotes here and in the line above ("test:" needs quotes)'
        raise ConfigError([f"{where}: not YAML: {error.problem}; {fix}"]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ConfigError([f"{source.name}:1:1: not YAML: {reason}"]) from None
    if not isinstance(data, dict) or node is None:
        fix = "start from the config.yaml that comes with edge-inspect"
        raise ConfigError([f"{source.name}:1:1: holds no keys; {fix} (got {_shown(data)})"])
    _walk(node, (), source, set())
    try:
        json.dumps(data)
    except (TypeError, ValueError, RecursionError):
        source.problems.append((1, 1, "holds values that are neither text, numbers nor lists"))
        raise ConfigError(source.sentences()) from None
    return data


def _walk(node: yaml.Node, loc: Loc, source: _Source, seen: set[int]) -> None:
    if id(node) in seen:  # an alias has the place of its anchor
        return
    seen.add(id(node))
    source.places.setdefault(loc, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        first: dict[Hashable, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            here = (*loc, name)
            if name in first:
                text = f"{key_path(here)}: appears twice (first in line {first[name]}); remove one"
                source.problems.append((line, column, text))
            first.setdefault(name, line)
            source.places[here] = line, column
            _walk(value, here, source, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*loc, index), source, seen)


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
    if problem.kind in ("missing", "rule"):
        source.add(problem.loc, problem.text)
    else:
        source.add(problem.loc, f"{problem.text} (got {_shown(problem.got)})")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = mask_credentials(text)  # before cutting, which may remove the @
    return text if len(text) <= 80 else text[:77] + "…"
