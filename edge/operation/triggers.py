"""What triggers by itself: clocks for `interval`, pins for `gpio`."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from edge.capture.tracker import Tracker
from edge.environment import Environment, Stop
from edge.errors import TriggerError
from edge.threads import start_thread

log = logging.getLogger(__name__)


class PinFactory(Protocol):
    """gpiozero's pin factory, as far as it is known here; gpiozero itself is optional."""

    def pin(self, name: Any) -> Any:
        """The pin of that name or number."""
        ...

    def close(self) -> None:
        """Gives all pins back."""
        ...


class InputPort(Protocol):
    """A pin that triggers parts until it is closed."""

    def close(self) -> None:
        """Gives the pin back."""
        ...


class Interval:
    """Announces a part every so often. A part that cannot be taken is left out, and counted."""

    def __init__(self, tracker: Tracker, environment: Environment) -> None:
        self._tracker, self._environment = tracker, environment
        self._every_s = tracker.config.every_s or 1.0

    def run(self, stop: Stop) -> None:
        """Until the daemon stops. Times are kept on a grid, so that they do not drift."""
        due = self._environment.tick() + self._every_s
        while not stop.wait(max(0.0, due - self._environment.tick())):
            try:
                self._tracker.trigger("interval")
            except TriggerError as error:
                log.warning("trigger: %s", error)
            late = self._environment.tick() - due
            due += self._every_s * max(1, 1 + int(late / self._every_s))


class Triggers:
    """All clocks and pins of the daemon."""

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        environment: Environment,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens the pins. `factory` None: the board's. Raises EdgeInspectError."""
        self._pins: list[InputPort] = []
        self._intervals: dict[str, Interval] = {}
        for name, tracker in trackers.items():
            if tracker.config.kind == "interval":
                self._intervals[name] = Interval(tracker, environment)
            elif tracker.config.kind == "gpio":
                self._pins.append(self._input(tracker, environment, factory))

    def start(self, stop: Stop) -> None:
        """Starts the clocks' threads, which end with `stop`."""
        for name, interval in self._intervals.items():
            start_thread(f"trigger-{name}", partial(interval.run, stop))

    def close(self) -> None:
        """Gives the pins back."""
        for pin in self._pins:
            pin.close()

    @staticmethod
    def _input(tracker: Tracker, environment: Environment, factory: PinFactory | None) -> InputPort:
        from edge.operation.gpio import InputPin

        return InputPin(tracker, environment.tick, factory)
