"""Which recipe is current at each camera, now and at the capture of a frame that is on its way.

What was requested last is current, usable or not: the recipe before it would judge another product.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.core.clock import Clock

_REMEMBERED = 64  # changes of a camera; more than come while a frame is on its way


class RecipeStore(Protocol):
    """Keeps the current numbers; `edge.storage.CurrentRecipes` implements it."""

    def all(self) -> dict[str, int]:
        """The current numbers by camera, those of the last process at first."""
        ...

    def note(self, camera: str, number: int) -> None:
        """A number is current from now on. Must not wait for a disk."""


class NothingStored:
    """Keeps nothing; a `RecipeStore`."""

    def all(self) -> dict[str, int]:
        """There is none."""
        return {}

    def note(self, camera: str, number: int) -> None:
        """Keeps nothing."""


@dataclass(frozen=True, slots=True)
class RecipeChange:
    """One change of a camera's current recipe. `by`: who requested it."""

    camera: str
    before: int | None
    after: int
    by: str


class RecipeSelection:
    """Safe between threads.

    names: of the recipes in config.yaml, by number; a reload replaces them. When it is empty, no
        camera has a current recipe.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        store: RecipeStore,
        clock: Clock,
        on_change: Callable[[RecipeChange], None] = lambda _change: None,
    ) -> None:
        """`on_change`: gets each change, on the thread that made it, and must return at once."""
        self.names = dict(names)
        self._store, self._clock, self._on_change = store, clock, on_change
        self._lock = threading.Lock()
        self._current = store.all()
        self._changes: dict[str, tuple[list[float], list[int | None]]] = {}

    def current(self, camera: str) -> int | None:
        """The number of the current recipe; None: there is none."""
        return self._current.get(camera) if self.names else None

    def at(self, camera: str, tick: float) -> int | None:
        """The number that was current at `tick`, monotonic seconds."""
        with self._lock:
            if not self.names:
                return None
            ticks, before = self._changes.get(camera, ((), ()))
            later = bisect_right(ticks, tick)
            return before[later] if later < len(ticks) else self._current.get(camera)

    def choose(self, camera: str, number: int, by: str) -> RecipeChange | None:
        """Makes a number current, known or not. None: it was current already."""
        with self._lock:
            before = self._current.get(camera)
            if before == number:
                return None
            ticks, earlier = self._changes.setdefault(camera, ([], []))
            ticks.append(self._clock.tick())
            earlier.append(before)
            if len(ticks) > _REMEMBERED:
                del ticks[0], earlier[0]
            self._current = {**self._current, camera: number}
            self._store.note(camera, number)
            change = RecipeChange(camera, before, number, by)
            self._on_change(change)  # with the lock: the journal has the changes in this order
        return change

    def in_use(self) -> frozenset[int]:
        """The numbers that are current at some camera."""
        return frozenset(self._current.values()) if self.names else frozenset()
