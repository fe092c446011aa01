"""What triggers by itself: clocks for `interval`, pins for `gpio`."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from edge.core.clock import Clock, StopEvent
from edge.core.errors import TriggerError
from edge.core.gpio import PinFactory
from edge.core.threads import start_thread
from edge.pipeline.part_tracker import PartTracker

log = logging.getLogger(__name__)


class InputPort(Protocol):
    """A pin that triggers parts until it is closed."""

    def close(self) -> None:
        """Gives the pin back."""
        ...


class IntervalTrigger:
    """Announces a part every so often. A part that cannot be taken is left out, and counted."""

    def __init__(self, tracker: PartTracker, environment: Clock) -> None:
        self._tracker, self._environment = tracker, environment
        self._every_s = tracker.config.every_s or 1.0

    def run(self, stop: StopEvent) -> None:
        """Until the daemon stops. Times are kept on a grid, so that they do not drift."""
        due = self._environment.tick() + self._every_s
        while not stop.wait(max(0.0, due - self._environment.tick())):
            try:
                self._tracker.trigger("interval")
            except TriggerError as error:
                log.warning("trigger: %s", error)
            late = self._environment.tick() - due
            due += self._every_s * max(1, 1 + int(late / self._every_s))


class TriggerSources:
    """All clocks and pins of the daemon."""

    def __init__(
        self,
        trackers: Mapping[str, PartTracker],
        environment: Clock,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens the pins. `factory` None: the board's. Raises EdgeInspectError."""
        self._pins: list[InputPort] = []
        self._intervals: dict[str, IntervalTrigger] = {}
        for name, tracker in trackers.items():
            if tracker.config.kind == "interval":
                self._intervals[name] = IntervalTrigger(tracker, environment)
            elif tracker.config.kind == "gpio":
                self._pins.append(self._input(tracker, environment, factory))

    def start(self, stop: StopEvent) -> None:
        """Starts the clocks' threads, which end with `stop`."""
        for name, interval in self._intervals.items():
            start_thread(f"trigger-{name}", partial(interval.run, stop))

    def close(self) -> None:
        """Gives the pins back."""
        for pin in self._pins:
            pin.close()

    @staticmethod
    def _input(tracker: PartTracker, environment: Clock, factory: PinFactory | None) -> InputPort:
        from edge.pipeline.gpio_input import InputPin

        return InputPin(tracker, environment.tick, factory)
