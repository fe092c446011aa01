"""A fake clock that tests advance, and a fake stop event that advances it instead of waiting."""

from collections.abc import Callable

from edge.core.clock import StopEvent


class FakeClock:
    """Monotonic and wall-clock seconds that only a test advances."""

    def __init__(self) -> None:
        self.at = 1000.0

    def tick(self) -> float:
        """Monotonic seconds."""
        return self.at

    def now(self) -> float:
        """Seconds since the epoch."""
        return 1_700_000_000.0 + self.at


class Patience(StopEvent):
    """A stop event that advances the clock instead of sleeping. It stops after `most` waits."""

    def __init__(self, clock: FakeClock, most: int = 1000) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.on_wait: Callable[[int], None] = lambda _number: None
        self._clock, self._most = clock, most

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Advances the clock by `seconds`."""
        if self.is_set():
            return True
        self.waits.append(seconds)
        self._clock.at += seconds
        self.on_wait(len(self.waits))
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()
