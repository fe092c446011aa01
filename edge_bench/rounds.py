"""Repeats measurements. An invalid round is reported and never averaged."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from edge.core.errors import RefusedError

T = TypeVar("T")


class InvalidRunError(RefusedError):
    """A run that is no valid measurement. The sentence gives the reason."""


class Rounds:
    """Runs measurements and collects the reasons of invalid ones in `problems`, in order."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def attempt(self, what: str, measure: Callable[[], T]) -> T | None:
        """The result of `measure`. After a RefusedError: None, and one more problem."""
        try:
            return measure()
        except RefusedError as error:
            self.problems.append(f"{what}: {error}")
            return None

    def repeat(self, what: str, count: int, measure: Callable[[int], T]) -> list[T]:
        """The results of the valid rounds out of `count`. Stops when the first two are invalid."""
        found: list[T] = []
        for number in range(count):
            one = self.attempt(f"{what}, round {number + 1}", partial(measure, number))
            if one is not None:
                found.append(one)
            elif number > 0 and not found:
                break
        return found
