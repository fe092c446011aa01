"""Triggers that need no request: a clock for `interval`, a GPIO pin for `gpio`."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

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
        """Until the daemon stops. Times are kept on a grid, so that they do not drift."""
        due = self._clock.tick() + self._every_s
        while not stop.wait(max(0.0, due - self._clock.tick())):
            try:
                self._tracker.trigger("interval")
            except TriggerError as error:
                log.warning("trigger: %s", error)
            late = self._clock.tick() - due
            due += self._every_s * max(1, 1 + int(late / self._every_s))

    def start(self, stop: StopEvent) -> None:
        """Starts the thread, which ends with `stop`."""
        start_thread(f"trigger-{self._tracker.camera}", partial(self.run, stop))

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
        """Opens the pin. Raises EdgeInspectError.

        tick: monotonic seconds.
        factory: gpiozero's pin factory; None: the board's.
        """
        config = tracker.config
        self._tracker, self._tick = tracker, tick
        self._debounce = Debounce(config.edge, config.debounce_ms / 1000)
        pull = {"up": True, "down": False, "none": None}[config.pull]
        active = True if pull is None else None
        device = gpiozero_module().DigitalInputDevice
        self._inverted = pull is True  # gpiozero calls a pulled-up pin active when it is low
        self._device = open_pin(
            f"trigger.pin {config.pin}",
            lambda: device(config.pin, pull_up=pull, active_state=active, pin_factory=factory),
        )
        self._device.when_activated = lambda: self._on_edge(active=True)
        self._device.when_deactivated = lambda: self._on_edge(active=False)

    def start(self, _stop: StopEvent) -> None:
        """Nothing to start: the pin triggers from its opening on."""

    def close(self) -> None:
        """Releases the pin."""
        self._device.close()

    def _on_edge(self, *, active: bool) -> None:
        edge: Edge = "rising" if active != self._inverted else "falling"
        if not self._debounce.counts(edge, self._tick()):
            return
        try:
            self._tracker.trigger("gpio")
        except EdgeInspectError as error:  # counted, and reported as an `error` verdict
            log.warning("trigger: %s", error)


def trigger_source(
    tracker: PartTracker, clock: Clock, factory: PinFactory | None = None
) -> IntervalTrigger | PinTrigger | None:
    """The source that triggers this tracker; None: requests or pictures do. Parameters and errors
    as `PinTrigger`."""
    if tracker.config.kind == "interval":
        return IntervalTrigger(tracker, clock)
    if tracker.config.kind == "gpio":
        return PinTrigger(tracker, clock.tick, factory)
    return None
