"""config.yaml in the root shows and explains every option."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli.config import json_schema

TEXT = (Path(__file__).parents[3] / "config.yaml").read_text(encoding="utf-8")
_KEY = re.compile(r"^(?P<indent> *)(?P<item>- )?(?P<key>[a-z_]+):(?: +(?P<rest>.*))?$")
_ITEM = re.compile(r"^ *- (?P<value>\{.*\})$")
_CAMERA_OF_A_RECIPE = "recipes.cameras.cam1"  # the example's id stands where any id may
_WORD = re.compile(r"[A-Za-z]{2,}")


def options(schema: dict[str, Any], section: dict[str, Any], path: str = "") -> Iterator[str]:
    """The dotted path of every key of a section and of those inside it."""
    for key, value in section.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        yield here
        for name in sorted(set(re.findall(r"#/\$defs/(\w+)", str(value)))):
            yield from options(schema, schema["$defs"][name], here)


def shown() -> dict[str, str]:
    """By the dotted path of each key, active or commented out, the words about it:
    the comment on its line and the comments next to it."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    prose, last = "", ""
    for line in TEXT.splitlines():
        bare = line
        while (stripped := re.sub(r"^( *)# ", r"\1", bare)) != bare:
            bare = stripped
        if (item := _ITEM.match(bare)) is not None:
            for key in _inner(item["value"]):
                found[f"{last}.{key}"] = found[last]
            continue
        match = _KEY.match(bare)
        if match is None or (line.lstrip() != bare.lstrip() and len(match["indent"]) > 16):
            words = line.strip(" #")
            if last and not line.strip().startswith(("#", "-")):
                last = ""
            if last:
                found[last] += f" {words}"
            prose = f"{prose} {words}" if words else ""
            continue
        depth = len(match["indent"]) + (2 if match["item"] else 0)
        above = [(d, key) for d, key in above if d < depth]
        above.append((depth, match["key"]))
        last = ".".join(key for _, key in above).replace(_CAMERA_OF_A_RECIPE, "recipes.cameras")
        value, _, comment = (match["rest"] or "").partition(" #")
        found[last] = f"{found.get(last, '')} {prose} {comment}".strip()
        prose = ""
        for key in _inner(value):
            found[f"{last}.{key}"] = found[last]
    return found


def _inner(value: str) -> list[str]:
    """The keys of a mapping that is written on one line."""
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return []
    return [str(key) for key in read] if isinstance(read, dict) else []


SCHEMA = json_schema()


# `cameras[].view` shows the keys of a view; a recipe's has the same ones.
OPTIONS = sorted(
    one for one in set(options(SCHEMA, SCHEMA)) if not one.startswith("recipes.cameras.view.")
)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_shown_with_a_word_on_it(option: str) -> None:
    """config.yaml holds each key of the schema in its section, with an explanation."""
    words = shown()
    assert option in words
    if any(other.startswith(f"{option}.") for other in OPTIONS):
        return  # a section: its keys say what it is for
    assert len(_WORD.findall(words[option])) >= 2
