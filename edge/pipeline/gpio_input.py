"""A GPIO pin as a trigger: which edges count, and the part that each of them announces."""

import logging
from collections.abc import Callable
from typing import Literal

from edge.core.errors import EdgeInspectError
from edge.core.gpio import PinFactory, gpiozero_module, open_pin
from edge.pipeline.part_tracker import PartTracker

log = logging.getLogger(__name__)

Edge = Literal["rising", "falling"]


class Debounce:
    """Which edges are real. A contact bounces when it closes and when it opens: an edge counts only
    when no edge, of either direction, was seen for a while before it."""

    def __init__(self, wanted: Edge, quiet_s: float) -> None:
        self._wanted, self._quiet_s = wanted, quiet_s
        self._last: float | None = None

    def counts(self, edge: Edge, tick: float) -> bool:
        """Whether this edge, at `tick` monotonic seconds, is a trigger."""
        quiet = self._last is None or tick - self._last >= self._quiet_s
        self._last = tick
        return quiet and edge == self._wanted


class InputPin:
    """Triggers a part at each edge that counts, on gpiozero's thread."""

    def __init__(
        self,
        tracker: PartTracker,
        tick: Callable[[], float],
        factory: PinFactory | None = None,
    ) -> None:
        """`tick`: monotonic seconds. `factory` None: the board's. Raises EdgeInspectError."""
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
        self._device.when_activated = lambda: self._edge(active=True)
        self._device.when_deactivated = lambda: self._edge(active=False)

    def close(self) -> None:
        """Gives the pin back."""
        self._device.close()

    def _edge(self, *, active: bool) -> None:
        edge: Edge = "rising" if active != self._inverted else "falling"
        if not self._debounce.counts(edge, self._tick()):
            return
        try:
            self._tracker.trigger("gpio")
        except EdgeInspectError as error:  # refused: counted, and told as an `error` verdict
            log.warning("trigger: %s", error)
