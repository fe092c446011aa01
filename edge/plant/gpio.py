"""The pins of a Raspberry Pi, through gpiozero; the only door to it."""

import logging
from collections.abc import Callable
from typing import Any, Literal

from edge.core.errors import EdgeInspectError, MissingPartError
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.trigger_sources import PinFactory

try:
    import gpiozero
    from gpiozero.exc import BadPinFactory, GPIOZeroError
except ImportError as error:
    raise MissingPartError(
        "a gpio trigger or output needs gpiozero; run in edge-inspect's folder: "
        "pip install '.[gpio]'"
    ) from error

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
        self._inverted = pull is True  # gpiozero calls a pulled-up pin active when it is low
        self._device = _opened(
            f"trigger.pin {config.pin}",
            lambda: gpiozero.DigitalInputDevice(
                config.pin, pull_up=pull, active_state=active, pin_factory=factory
            ),
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


class OutputPin:
    """A `OutputWire` of edge.plant.signal_outputs, idle from the start."""

    def __init__(
        self, name: str, pin: int, active_high: bool, factory: PinFactory | None = None
    ) -> None:
        """`name` is its key in config.yaml. Raises EdgeInspectError."""
        self._device = _opened(
            f"{name} {pin}",
            lambda: gpiozero.DigitalOutputDevice(
                pin, active_high=active_high, initial_value=False, pin_factory=factory
            ),
        )

    def on(self) -> None:
        """The active level."""
        self._device.on()

    def off(self) -> None:
        """The idle level."""
        self._device.off()

    def close(self) -> None:
        """Idle, and given back."""
        self._device.off()
        self._device.close()


def _opened(what: str, opener: Callable[[], Any]) -> Any:
    try:
        return opener()
    except BadPinFactory as error:
        raise EdgeInspectError(
            f"{what}: this machine has no GPIO that gpiozero knows ({error}); run on a Raspberry "
            "Pi, install lgpio, or remove the pin"
        ) from error
    except (GPIOZeroError, OSError) as error:
        raise EdgeInspectError(f"{what}: cannot be used ({error}); choose another pin") from error
