"""The clocks, the stop event and the file system root that components get by their constructors.
Tests pass a clock that they turn, and a folder instead of `/`."""

import math
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class StopEvent:
    """Tells threads to stop. A thread sleeps by waiting for it, so that it stops at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._bell: int | None = None  # readable after `set`; made when the first `wait` needs it

    def __del__(self) -> None:
        if self._bell is not None:
            os.close(self._bell)

    def set(self) -> None:
        """Tells all threads to stop."""
        self._event.set()
        with self._lock:
            if self._bell is not None:
                os.eventfd_write(self._bell, 1)

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._event.is_set()

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Sleeps for `seconds`, or until `set` is called; whether it was called.

        `file`: a file descriptor that also ends the sleep when it is readable.
        """
        if file is None:
            return self._event.wait(seconds)
        poll = select.poll()
        poll.register(self._file(), select.POLLIN)
        poll.register(file, select.POLLIN)
        poll.poll(math.ceil(seconds * 1000))  # rounded up: a thread that wakes too early would spin
        return self._event.is_set()

    def _file(self) -> int:
        with self._lock:
            if self._bell is None:
                self._bell = os.eventfd(int(self._event.is_set()), os.EFD_CLOEXEC)
            return self._bell


@dataclass(frozen=True, slots=True)
class Clock:
    """Clocks and the file system root.

    now   seconds since the epoch, for people
    tick  monotonic seconds, for ages, deadlines and intervals: the clock of a plant may jump
    root  `/`, or a folder of a test
    """

    now: Callable[[], float] = time.time
    tick: Callable[[], float] = time.monotonic
    root: Path = field(default_factory=lambda: Path("/"))

    def boot_id(self) -> str:
        """The kernel's id of this boot; `unknown` without one."""
        try:
            return (self.root / "proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return "unknown"
