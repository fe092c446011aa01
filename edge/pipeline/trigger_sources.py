"""Triggers that need no request: a clock for `interval`, a GPIO pin for `gpio`."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Literal

from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError, TriggerError
from edge.core.gpio import PinFactory, gpiozero_module, open_pin
from edge.core.threads import start_thread
from edge.pipeline.part_tracker import PartTracker

log = logging.getLogger(__name__)

Edge = Literal["rising", "falling"]


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


class Debounce:
    """Tells real edges from bounces. A contact bounces when it closes and when it opens, so an edge
    counts only after a quiet time without any edge, of either direction."""

    def __init__(self, wanted: Edge, quiet_s: float) -> None:
        self._wanted, self._quiet_s = wanted, quiet_s
        self._last: float | None = None

    def counts(self, edge: Edge, tick: float) -> bool:
        """Whether this edge, at `tick` monotonic seconds, is a trigger."""
        quiet = self._last is None or tick - self._last >= self._quiet_s
        self._last = tick
        return quiet and edge == self._wanted


class PinTrigger:
    """Announces a part at each edge that counts, on gpiozero's thread."""

    def __init__(
        self, tracker: PartTracker, tick: Callable[[], float], factory: PinFactory | None = None
    ) -> None:
        """Opens nothing yet.

        tick: monotonic seconds.
        factory: gpiozero's pin factory; None: the board's.
        """
        config = tracker.config
        self.pin = config.pin
        self._tracker, self._tick, self._factory = tracker, tick, factory
        self._debounce = Debounce(config.edge, config.debounce_ms / 1000)
        self._pull = {"up": True, "down": False, "none": None}[config.pull]
        self._inverted = self._pull is True  # gpiozero calls a pulled-up pin active when it is low
        self._device: Any = None
        self._go = threading.Event()

    def open(self) -> None:
        """Opens the pin. Raises EdgeInspectError when it cannot be used."""
        if self._device is not None:
            return
        pull, factory = self._pull, self._factory
        active = True if pull is None else None
        device = gpiozero_module().DigitalInputDevice
        self._device = open_pin(
            f"trigger.pin {self.pin}",
            lambda: device(self.pin, pull_up=pull, active_state=active, pin_factory=factory),
        )
        self._device.when_activated = lambda: self._on_edge(active=True)
        self._device.when_deactivated = lambda: self._on_edge(active=False)

    def start(self, go: threading.Event, _stop: StopEvent) -> None:
        """Edges trigger from `go` on."""
        self._go = go

    def close(self) -> None:
        """Releases the pin."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def _on_edge(self, *, active: bool) -> None:
        edge: Edge = "rising" if active != self._inverted else "falling"
        if not self._debounce.counts(edge, self._tick()) or not self._go.is_set():
            return
        try:
            self._tracker.trigger("gpio")
        except EdgeInspectError as error:  # counted, and reported as an `error` verdict
            log.warning("trigger: %s", error)
        except Exception:  # outermost function on gpiozero's thread, which must go on
            log.exception("trigger: unexpected fault at an edge of pin %s", self.pin)


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
