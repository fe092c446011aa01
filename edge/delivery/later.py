"""An answer that is not there yet: a request's handler gives it back at once, and it is filled in
from another thread."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from edge.errors import EdgeInspectError

Outcome_ = Mapping[str, Any] | EdgeInspectError


class Later:
    """Filled once, with the data of the answer or the error that stands for it; what comes after
    the first is ignored. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcome: Outcome_ | None = None
        self._tell: Callable[[Outcome_], None] | None = None

    def fill(self, outcome: Outcome_) -> bool:
        """The answer. False when there was one already."""
        with self._lock:
            if self._outcome is not None:
                return False
            self._outcome = outcome
            tell = self._tell
        if tell is not None:
            tell(outcome)
        return True

    def then(self, tell: Callable[[Outcome_], None]) -> None:
        """Calls `tell` with the answer: at once, or on the thread that fills it. Once only."""
        with self._lock:
            self._tell = tell
            outcome = self._outcome
        if outcome is not None:
            tell(outcome)

    @property
    def filled(self) -> bool:
        """Whether the answer is there."""
        with self._lock:
            return self._outcome is not None
