"""The daemon publishes what the released version published: values, and the order of keys."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.scenarios import SCENARIOS, play

pytestmark = pytest.mark.broker

# Recorded with version 0.1.0 (commit e223966) by `python -m tests.compatibility.scenarios FILE`.
RECORDED = json.loads(Path(__file__).with_name("recorded_messages.json").read_text("utf-8"))
# Keys that a later version added: readers of JSON ignore what they do not know.
ADDED = {
    ".health": {"failures", "history", "archive", "estimate"},
    ".health.cameras.top": {"recipe"},
    ".info": {"recipes"},
    ".info.model": {"signed_by"},
    ".cameras.files": {"recipe"},
    ".cameras.gone": {"recipe"},
    ".result[]": {"recipe"},
    ".files": {"recipe"},
    ".gone": {"recipe"},
    ".trigger[].data": {"recipe"},
}
# The end of a sentence that names a key which a later version added.
ADDED_WORDS = ", and recipe, a number"


def differences(was: Any, now: Any, place: str = "") -> list[str]:
    """What differs between two JSON values, the order of keys included, a line each."""
    if isinstance(was, dict) and isinstance(now, dict):
        added = ADDED.get(re.sub(r"\[\d+\]", "[]", place), ())
        kept = [key for key in now if key not in added]
        if list(was) != kept:
            return [f"{place}: keys {list(was)} became {kept}"]
        return [d for key in was for d in differences(was[key], now[key], f"{place}.{key}")]
    if isinstance(was, list) and isinstance(now, list):
        if len(was) != len(now):
            return [f"{place}: {len(was)} items became {len(now)}"]
        pairs = enumerate(zip(was, now, strict=True))
        return [d for n, (a, b) in pairs for d in differences(a, b, f"{place}[{n}]")]
    known = now.removesuffix(ADDED_WORDS) if isinstance(now, str) else now
    return [] if was == known else [f"{place}: {was!r} became {now!r}"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_messages_are_those_of_the_released_version(name: str) -> None:
    """Each scenario gives the recorded messages, apart from times, ids and measured figures."""
    assert differences(RECORDED[name], play(name)) == []


def test_a_changed_value_and_a_changed_order_are_found() -> None:
    """The comparison itself can fail."""
    assert differences({"a": 1, "b": [1]}, {"a": 1, "b": [2]}) == [".b[0]: 1 became 2"]
    assert differences({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert differences([1], [1, 2])
