"""The clock, the stop event and the file system root that components get by their constructors.

Tests pass a fake clock, and a folder instead of `/`.
"""

import math
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class StopEvent:
    """Asks threads to stop. A thread sleeps with `wait`, so that it stops at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._eventfd: int | None = (
            None  # readable after `set`; created by the first `wait` on a file
        )

    def __del__(self) -> None:
        if self._eventfd is not None:
            os.close(self._eventfd)

    def set(self) -> None:
        self._event.set()
        with self._lock:
            if self._eventfd is not None:
                os.eventfd_write(self._eventfd, 1)

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Sleeps for `seconds` or until `set` is called. Returns whether `set` was called.

        A readable file descriptor `file` also ends the sleep.
        """
        if file is None:
            return self._event.wait(seconds)
        poll = select.poll()
        poll.register(self._eventfd_number(), select.POLLIN)
        poll.register(file, select.POLLIN)
        poll.poll(math.ceil(seconds * 1000))  # rounded up: waking too early would spin
        return self._event.is_set()

    def _eventfd_number(self) -> int:
        with self._lock:
            if self._eventfd is None:
                self._eventfd = os.eventfd(int(self._event.is_set()), os.EFD_CLOEXEC)
            return self._eventfd


@dataclass(frozen=True, slots=True)
class Clock:
    """The time sources and the file system root.

    - `now`: seconds since the epoch, for people.
    - `tick`: monotonic seconds, for ages, deadlines and intervals; a plant's clock may jump.
    - `root`: `/`, or a test's folder.
    """

    now: Callable[[], float] = time.time
    tick: Callable[[], float] = time.monotonic
    root: Path = field(default_factory=lambda: Path("/"))

    def boot_id(self) -> str:
        """The kernel's id of this boot; `unknown` if it has none."""
        try:
            return (self.root / "proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return "unknown"
