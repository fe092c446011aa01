"""The world as the daemon's parts see it: clock and operating system, handed in so that tests
can turn the clock and show a fixture tree instead of /proc."""

import math
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Stop:
    """The one stop signal. Sleeping is waiting for it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._bell: int | None = None  # a descriptor that can be read from `set` on, when needed

    def __del__(self) -> None:
        if self._bell is not None:
            os.close(self._bell)

    def set(self) -> None:
        """Asks everyone to stop."""
        self._event.set()
        with self._lock:
            if self._bell is not None:
                os.eventfd_write(self._bell, 1)

    def is_set(self) -> bool:
        """Whether the daemon is stopping."""
        return self._event.is_set()

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Sleeps, at most until the daemon stops; True when it does. `file`: a descriptor; sleeps
        no longer than until there is something to read from it either."""
        if file is None:
            return self._event.wait(seconds)
        poll = select.poll()
        poll.register(self._file(), select.POLLIN)
        poll.register(file, select.POLLIN)
        poll.poll(math.ceil(seconds * 1000))  # up: whoever wakes too early turns round and round
        return self._event.is_set()

    def _file(self) -> int:
        with self._lock:
            if self._bell is None:
                self._bell = os.eventfd(int(self._event.is_set()), os.EFD_CLOEXEC)
            return self._bell


@dataclass(frozen=True, slots=True)
class Environment:
    """Clocks and roots. `now` is seconds since the epoch, for people; `tick` is monotonic
    seconds, for ages, deadlines and intervals, since a plant's clock may jump."""

    now: Callable[[], float] = time.time
    tick: Callable[[], float] = time.monotonic
    root: Path = field(default_factory=lambda: Path("/"))

    def boot_id(self) -> str:
        """The kernel's id of this boot, or `unknown` where there is none."""
        try:
            return (self.root / "proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return "unknown"
