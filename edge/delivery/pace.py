"""When a verdict is written: at once while they are few, together with others while they are many.

A commit costs the processor as much as writing several verdicts, and wakes two more threads. Where
verdicts follow each other within milliseconds, waiting for a few of them is cheaper for everybody.
"""

from collections import deque

# so many within so long are many, 160 a second; and with pictures of files, 126: nobody stands at
# a gate for them, but eight cameras that are played at ten a second are none of it
_MANY, _WITHIN_S = 16, 0.1
_ITEMS, _ITEMS_WITHIN_S = 24, 0.19
GATHER_S = 0.04  # for so long they are gathered then,
ITEMS_S = 0.1  # and those on pictures of files for so long


class Pace:
    """Not safe between threads."""

    def __init__(self, window_s: float) -> None:
        """`window_s`: for how long a verdict may wait for its acknowledgement instead of the disk
        anyway; 0: not at all."""
        self._window_s = window_s
        self._came: deque[float] = deque(maxlen=_ITEMS)
        self._together = 0.0
        self.many = False  # whether verdicts follow each other so closely now

    def due(self, now: float, *, item: bool = False) -> float:
        """When a verdict that comes now is to be written; both in monotonic seconds. `item`: it is
        on a file's picture. Never before that of the verdict before."""
        self._came.append(now)
        several, within_s = (_ITEMS, _ITEMS_WITHIN_S) if item else (_MANY, _WITHIN_S)
        self.many = len(self._came) >= several and now - self._came[-several] <= within_s
        if self._window_s:
            return now + self._window_s
        if self.many and self._together < now:
            self._together = now + (ITEMS_S if item else GATHER_S)
        return max(now, self._together)
