"""Repeats rounds. An invalid one is reported and never averaged in."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from edge.core.errors import RefusedError

T = TypeVar("T")


class InvalidRunError(RefusedError):
    """A run in which something went wrong: it is no measurement. The sentence says what."""


class Rounds:
    """Collects what was wrong. `problems` are sentences, in the order in which they came up."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def valid(self, what: str, measure: Callable[[], T]) -> T | None:
        """What `measure` returns; None, and a problem more, when it refuses."""
        try:
            return measure()
        except RefusedError as error:
            self.problems.append(f"{what}: {error}")
            return None

    def repeat(self, what: str, count: int, measure: Callable[[int], T]) -> list[T]:
        """The valid ones of `count` rounds; it gives up when the first two are not."""
        found: list[T] = []
        for number in range(count):
            one = self.valid(f"{what}, round {number + 1}", partial(measure, number))
            if one is not None:
                found.append(one)
            elif number > 0 and not found:
                break
        return found
