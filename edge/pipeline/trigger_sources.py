"""Triggers that need no request: a clock for `interval`, a GPIO pin for `gpio`."""

import logging
import threading
from collections.abc import Callable

from edge.core.clock import Clock, StopEvent
from edge.core.errors import TriggerError
from edge.core.gpio import PinFactory
from edge.core.threads import start_thread
from edge.pipeline.edge_pin import EdgePin, EdgePinSettings
from edge.pipeline.part_tracker import PartTracker

log = logging.getLogger(__name__)


class IntervalTrigger:
    """Announces a part every `trigger.every_s` seconds. A refused part is counted."""

    def __init__(self, tracker: PartTracker, clock: Clock) -> None:
        self._tracker, self._clock = tracker, clock
        self._every_s = tracker.config.every_s or 1.0

    def run(self, stop: StopEvent) -> None:
        """Until stop. Times are kept on a grid, so that they do not drift."""
        due = self._clock.tick() + self._every_s
        while not stop.wait(max(0.0, due - self._clock.tick())):
            try:
                self._tracker.trigger("interval")
            except TriggerError as error:
                log.warning("trigger: %s", error)
            late = self._clock.tick() - due
            due += self._every_s * max(1, 1 + int(late / self._every_s))

    def start(self, go: threading.Event, stop: StopEvent) -> None:
        """Starts the thread. It waits for `go`, and ends with `stop`."""

        def run() -> None:
            go.wait()
            self.run(stop)

        start_thread(f"trigger-{self._tracker.camera}", run)

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to release."""


class PinTrigger:
    """Announces a part at each edge that counts. A refused part is counted, and reported as an
    `error` verdict."""

    def __init__(
        self, tracker: PartTracker, tick: Callable[[], float], factory: PinFactory | None = None
    ) -> None:
        """Opens nothing yet. `tick` and `factory` are those of `EdgePin`."""
        config = tracker.config
        assert config.pin is not None  # config.yaml was checked
        self._pin = EdgePin(
            EdgePinSettings(
                "trigger.pin", config.pin, config.edge, config.pull, config.debounce_ms
            ),
            lambda: tracker.trigger("gpio"),
            tick,
            factory,
        )

    def open(self) -> None:
        """Opens the pin. Raises EdgeInspectError when it cannot be used."""
        self._pin.open()

    def start(self, go: threading.Event, _stop: StopEvent) -> None:
        """Edges trigger from `go` on."""
        self._pin.start(go)

    def close(self) -> None:
        """Releases the pin."""
        self._pin.close()


def trigger_source(
    tracker: PartTracker, clock: Clock, factory: PinFactory | None = None
) -> IntervalTrigger | PinTrigger | None:
    """The source that triggers this tracker; None: requests or pictures do. Parameters as
    `PinTrigger`."""
    if tracker.config.kind == "interval":
        return IntervalTrigger(tracker, clock)
    if tracker.config.kind == "gpio":
        return PinTrigger(tracker, clock.tick, factory)
    return None
