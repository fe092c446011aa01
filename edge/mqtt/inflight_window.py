"""The in-flight window: the messages that were sent and wait for their PUBACK."""

import math


class InFlightWindow:
    """Messages by `mid`, the oldest first. `size`: how many may wait; `ack_timeout_s`: how long
    one may wait."""

    def __init__(self) -> None:
        self.size, self.ack_timeout_s = 1, 0.0
        self._sent: dict[int, tuple[int, float]] = {}  # mid -> seq, time of sending
        self._others: set[int] = set()  # messages that are not rows of the outbox

    def begin(self, size: int, ack_timeout_s: float) -> None:
        """Empties the window for a new connection."""
        self.size, self.ack_timeout_s = size, ack_timeout_s
        self._sent.clear()
        self._others.clear()

    def add(self, mid: int, now: float, seq: int = 0) -> None:
        """A message was sent; `seq` 0: it is not a row of the outbox."""
        self._sent[mid] = seq, now
        if not seq:
            self._others.add(mid)

    def acknowledge(self, mid: int) -> int:
        """Removes a message. Returns its `seq`; 0: it was not a row of the outbox."""
        self._others.discard(mid)
        return self._sent.pop(mid, (0, 0.0))[0]

    @property
    def room(self) -> int:
        """How many more messages may be sent."""
        return max(0, self.size - len(self._sent))

    @property
    def room_for_others(self) -> int:
        """How many messages that are not rows may be sent. They take at most a quarter of the
        window, so that a flood of requests does not delay verdicts."""
        return min(self.room, max(1, self.size // 4) - len(self._others))

    @property
    def empty(self) -> bool:
        """Whether no message waits for its PUBACK."""
        return not self._sent

    def overdue_in_s(self, now: float) -> float:
        """Seconds until the oldest message is overdue, below 0 when it is; infinite when none
        waits."""
        oldest = next(iter(self._sent.values()), None)
        return math.inf if oldest is None else oldest[1] + self.ack_timeout_s - now
