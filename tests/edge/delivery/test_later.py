"""An answer that comes later is told once, whoever is first."""

from typing import Any

from edge.delivery.later import Later
from edge.errors import EdgeInspectError


def test_told_when_it_comes() -> None:
    """Asked before it is there: told at that moment, and only the first answer counts."""
    said: list[Any] = []
    later = Later()
    later.then(said.append)
    assert not later.filled
    assert later.fill({"n": 1})
    assert not later.fill(EdgeInspectError("too late"))
    assert said == [{"n": 1}]
    assert later.filled


def test_told_at_once_when_it_is_there() -> None:
    """Filled first, asked after: told at once."""
    said: list[Any] = []
    later = Later()
    later.fill({"n": 2})
    later.then(said.append)
    assert said == [{"n": 2}]
