"""GPIO pins that choose a camera's recipe: the number stands on the code pins, and an edge on the
strobe says that it is valid."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from edge.config import RecipePinsConfig
from edge.core.gpio import PinFactory, open_input
from edge.pipeline.edge_pin import EdgePin, EdgePinSettings

log = logging.getLogger(__name__)


class RecipePins:
    """Chooses a recipe at each edge of the strobe, on gpiozero's thread."""

    def __init__(
        self,
        camera: str,
        config: RecipePinsConfig,
        choose: Callable[[int, str], None],
        tick: Callable[[], float],
        factory: PinFactory | None = None,
        *,
        unknown: int,
    ) -> None:
        """Opens nothing yet.

        choose: makes a number current, known or not; with the name of whoever asks.
        unknown: a number that no recipe has: chosen when the code cannot be read, so that parts get
            `error` and no verdict of the recipe before.
        tick: monotonic seconds.
        factory: gpiozero's pin factory; None: the board's.
        """
        self._name, self._config = f"cameras {camera}: recipe_pins", config
        self._choose, self._factory, self._unknown = choose, factory, unknown
        self._by = f"gpio: pin {config.strobe}"
        self._code: list[Any] = []  # the lowest bit first
        self._strobe = EdgePin(
            EdgePinSettings(
                f"{self._name}.strobe", config.strobe, config.edge, config.pull, config.debounce_ms
            ),
            self._on_strobe,
            tick,
            factory,
        )

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of all its pins."""
        return frozenset({*self._config.code, self._config.strobe})

    def open(self) -> None:
        """Opens the pins, the strobe last. Raises EdgeInspectError when one cannot be used."""
        for pin in self._config.code[len(self._code) :]:
            name = f"{self._name}.code {pin}"
            self._code.append(open_input(name, pin, self._config.pull, self._factory))
        self._strobe.open()

    def start(self, go: threading.Event) -> None:
        """Edges of the strobe count from `go` on."""
        self._strobe.start(go)

    def close(self) -> None:
        """Releases the pins."""
        self._strobe.close()
        code, self._code = self._code, []
        for device in code:
            device.close()

    def _on_strobe(self) -> None:
        try:
            number = sum(bool(device.is_active) << bit for bit, device in enumerate(self._code))
        except Exception:  # a GPIO library has exceptions of its own
            log.exception("%s: the code cannot be read; parts get `error`", self._name)
            number = self._unknown
        self._choose(number, self._by)
