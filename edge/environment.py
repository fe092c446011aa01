"""The world as the daemon's parts see it: clock and operating system, handed in so that tests
can turn the clock and show a fixture tree instead of /proc."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Stop:
    """The one stop signal. Sleeping is waiting for it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Asks everyone to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the daemon is stopping."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleeps, at most until the daemon stops; True when it does."""
        return self._event.wait(seconds)


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
