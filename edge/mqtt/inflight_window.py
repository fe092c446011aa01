"""The messages that are on their way to the broker: how many, which, and since when."""

import math


class InFlightWindow:
    """By `mid`. `window`: at most so many; `bound_s`: so long an answer may take."""

    def __init__(self) -> None:
        self.window, self.bound_s = 1, 0.0
        self._sent: dict[int, tuple[int, float]] = {}  # mid -> seq, when; the oldest first
        self._others: set[int] = set()  # those that are no rows

    def begin(self, window: int, bound_s: float) -> None:
        """A new connection: nothing is on its way."""
        self.window, self.bound_s = window, bound_s
        self._sent.clear()
        self._others.clear()

    def add(self, mid: int, now: float, seq: int = 0) -> None:
        """One more; `seq` 0: no row of the outbox."""
        self._sent[mid] = seq, now
        if not seq:
            self._others.add(mid)

    def answered(self, mid: int) -> int:
        """The row that it was; 0: none."""
        self._others.discard(mid)
        return self._sent.pop(mid, (0, 0.0))[0]

    @property
    def room(self) -> int:
        """How many more may go."""
        return max(0, self.window - len(self._sent))

    @property
    def room_for_others(self) -> int:
        """How many of them may be no rows: a quarter of the window, so that a flood of requests
        and its answers never delay a verdict."""
        return min(self.room, max(1, self.window // 4) - len(self._others))

    @property
    def empty(self) -> bool:
        """Whether every one was answered."""
        return not self._sent

    def overdue(self, now: float) -> bool:
        """Whether the oldest has waited too long for its answer."""
        return self.overdue_in_s(now) < 0

    def overdue_in_s(self, now: float) -> float:
        """Seconds until the oldest has waited too long for its answer; endless without one."""
        oldest = next(iter(self._sent.values()), None)
        return math.inf if oldest is None else oldest[1] + self.bound_s - now
