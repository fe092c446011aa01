"""An input pin whose edges count: a part's trigger, or the strobe of a recipe's code."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.core.errors import EdgeInspectError
from edge.core.gpio import Edge, PinFactory, Pull, open_input

log = logging.getLogger(__name__)


class Debounce:
    """Tells real edges from bounces. A contact bounces when it closes and when it opens, so an edge
    counts only after a quiet time without any edge, of either direction."""

    def __init__(self, wanted: Edge, quiet_s: float) -> None:
        self._wanted, self._quiet_s = wanted, quiet_s
        self._last: float | None = None

    def counts(self, edge: Edge, tick: float) -> bool:
        """Whether this edge, at `tick` monotonic seconds, counts."""
        quiet = self._last is None or tick - self._last >= self._quiet_s
        self._last = tick
        return quiet and edge == self._wanted


@dataclass(frozen=True, slots=True)
class EdgePinSettings:
    """`name`: the pin's key in config.yaml."""

    name: str
    pin: int
    edge: Edge
    pull: Pull
    debounce_ms: float


class EdgePin:
    """Calls a function at each edge that counts, on gpiozero's thread."""

    def __init__(
        self,
        settings: EdgePinSettings,
        on_edge: Callable[[], object],
        tick: Callable[[], float],
        factory: PinFactory | None = None,
    ) -> None:
        """Opens nothing yet.

        on_edge: what it raises is logged.
        tick: monotonic seconds.
        factory: gpiozero's pin factory; None: the board's.
        """
        self._settings, self._on_edge, self._tick = settings, on_edge, tick
        self._factory = factory
        self._debounce = Debounce(settings.edge, settings.debounce_ms / 1000)
        # gpiozero calls a pulled-up pin active when it is low
        self._inverted = settings.pull == "up"
        self._device: Any = None
        self._go = threading.Event()

    def open(self) -> None:
        """Opens the pin. Raises EdgeInspectError when it cannot be used."""
        if self._device is not None:
            return
        name, pin = self._settings.name, self._settings.pin
        device = open_input(f"{name} {pin}", pin, self._settings.pull, self._factory)
        device.when_activated = lambda: self._edge(active=True)
        device.when_deactivated = lambda: self._edge(active=False)
        self._device = device

    def start(self, go: threading.Event) -> None:
        """Edges count from `go` on."""
        self._go = go

    def close(self) -> None:
        """Releases the pin."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def _edge(self, *, active: bool) -> None:
        edge: Edge = "rising" if active != self._inverted else "falling"
        if not self._debounce.counts(edge, self._tick()) or not self._go.is_set():
            return
        try:
            self._on_edge()
        except EdgeInspectError as error:
            log.warning("%s: %s", self._settings.name, error)
        except Exception:  # outermost function on gpiozero's thread, which must go on
            name, pin = self._settings.name, self._settings.pin
            log.exception("%s: unexpected fault at an edge of pin %s", name, pin)
