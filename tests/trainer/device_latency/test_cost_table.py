"""A cost table file is read completely or refused with place, value and fix."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from edge.core.errors import EdgeInspectError
from trainer.device_latency.cost_table import find_cost_table, parse_cost_table

GOOD: dict[str, Any] = {
    "schema": "edge-inspect/figures/1",
    "box": "Raspberry Pi 5 Model B Rev 1.0",
    "origin": "measured",
    "made": "2026-11-28",
    "runtime": "litert",
    "spread": {"quickest": {"int8": 0.1}},
    "invoke_us": 3.5,
    "prices": {"quickest": {"int8": {"conv": {"call_us": 1.0, "multiply_add_ps": 20.0}}}},
}


def _refusal(tmp_path: Path, content: str) -> str:
    path = tmp_path / "pi.json"
    path.write_text(content, "utf-8")
    with pytest.raises(EdgeInspectError) as caught:
        find_cost_table(str(path))
    assert caught.value.exit_code == 2
    assert "edge-convert figures -o pi.json" in str(caught.value)
    return str(caught.value)


def test_a_cost_that_is_no_number_is_refused_where_it_is_computed(tmp_path: Path) -> None:
    """A NaN is refused on the machine that measures, not on the machine that reads the file."""
    path = tmp_path / "pi.json"
    path.write_text(json.dumps(GOOD), "utf-8")
    with pytest.raises(ValueError, match=r"invoke_us\n.*finite number"):
        find_cost_table(str(path)).replace(invoke_us=math.nan)


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    """A table survives the way through its file."""
    path = tmp_path / "pi.json"
    path.write_text(json.dumps(GOOD), "utf-8")
    figures = find_cost_table(str(path))
    assert parse_cost_table(figures.as_json(), "again") == figures
    assert figures.provenance == "measured there on 2026-11-28"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("prices", "quickest", "int8", "conv", "call_us"), -3, "conv.call_us"),
        (("prices", "quickest", "int8", "conv", "multiply_add_ps"), "many", "got 'many'"),
        (("prices", "quickest", "int8", "conv", "tile"), [0, 1], "conv.tile[0]"),
        (("prices", "fastest"), {}, "got 'fastest'"),
        (("spread", "quickest", "int8"), 99, "spread.quickest.int8"),
        (("made",), "yesterday", "got 'yesterday'"),
        (("origin",), "guessed", "got 'guessed'"),
        (("schema",), "edge-inspect/figures/9", "figures/9"),
        (("weight",), 1, "weight: unknown key; remove it (got 1)"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, place: Any, value: Any, words: str) -> None:
    """One sentence holds place, value and fix."""
    content = json.loads(json.dumps(GOOD))
    at = content
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    refusal = _refusal(tmp_path, json.dumps(content))
    assert "pi.json: " in refusal
    assert words in refusal


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """The error names the missing key."""
    content = {key: value for key, value in GOOD.items() if key != "invoke_us"}
    assert "pi.json: invoke_us: is missing; add it" in _refusal(tmp_path, json.dumps(content))


@pytest.mark.parametrize("content", ["", "{", "[1,\n 2"])
def test_invalid_json_is_named_with_its_line(tmp_path: Path, content: str) -> None:
    """The error for a truncated file names the line."""
    assert f"pi.json:{content.count(chr(10)) + 1}:" in _refusal(tmp_path, content)


@pytest.mark.parametrize("name", ["pi6", "folder", "noise"])
def test_an_unknown_box_is_named(tmp_path: Path, name: str) -> None:
    """For a missing file, a folder or bytes that are no text the error names the choices."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "noise").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EdgeInspectError, match=r"is none of pi4, pi5 and this") as caught:
        find_cost_table(str(tmp_path / name))
    assert "edge-convert figures -o" in str(caught.value)
