"""Opens a Raspberry Pi's GPIO pins. No other module imports gpiozero."""

import contextlib
import logging
from collections.abc import Callable
from typing import Any, Literal, Protocol

from edge.core.errors import EdgeInspectError, MissingPartError

log = logging.getLogger(__name__)

Edge = Literal["rising", "falling"]
Pull = Literal["up", "down", "none"]


class PinFactory(Protocol):
    """The used part of gpiozero's pin factory; gpiozero itself is optional."""

    def pin(self, name: Any) -> Any:
        """The pin of that name or number."""
        ...

    def close(self) -> None: ...


def gpiozero_module() -> Any:
    """The module gpiozero. Raises MissingPartError when it is not installed."""
    try:
        import gpiozero
    except ImportError as error:
        raise MissingPartError(
            "the pins in config.yaml need gpiozero; run in edge-inspect's folder: "
            "pip install '.[gpio]'"
        ) from error
    return gpiozero


class OutputPin:
    """One output pin. A failed write is a fault, never an exception; the next one opens the pin
    again. Not safe between threads.

    fault: why the pin does not have its level; empty: it has.
    last_fault: the last one, also when the pin works again.
    failures: failed attempts since the start.
    """

    def __init__(
        self, name: str, pin: int, *, active_high: bool, factory: PinFactory | None = None
    ) -> None:
        """Opens nothing yet. `name` is the pin's key in config.yaml. `factory` None: the board's
        own pins."""
        self.number = pin
        self.fault = self.last_fault = ""
        self.failures = 0
        self._name, self._active_high, self._factory = f"{name} {pin}", active_high, factory
        self._device: Any = None

    def open(self) -> None:
        """Opens the pin, idle. Raises EdgeInspectError."""
        if self._device is None:
            device = gpiozero_module().DigitalOutputDevice
            high, factory = self._active_high, self._factory
            self._device = open_pin(
                self._name,
                lambda: device(
                    self.number, active_high=high, initial_value=False, pin_factory=factory
                ),
            )

    def show(self, *, active: bool) -> bool:
        """Sets the level. False: it failed, and `fault` says why."""
        try:
            self.open()
            (self._device.on if active else self._device.off)()
        except Exception as error:  # noqa: BLE001  GPIO libraries have exceptions of their own
            self._failed(error)
            return False
        self.fault = ""
        return True

    def close(self) -> None:
        """Sets the pin idle and releases it."""
        device, self._device = self._device, None
        if device is None:
            return
        for step in (device.off, device.close):
            try:
                step()
            except Exception as error:  # noqa: BLE001  as in `show`; the other step must follow
                log.warning("outputs: %s: cannot be released (%s)", self._name, error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        sentence = str(error) if isinstance(error, EdgeInspectError) else ""
        sentence = sentence or f"{self._name}: cannot be set ({error!r:.200})"
        if sentence != self.last_fault:
            log.error("outputs: %s; verdicts go on, and the pin is tried again", sentence)
        self.fault = self.last_fault = sentence
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(Exception):  # it is lost already
                device.close()


def open_input(name: str, pin: int, pull: Pull, factory: PinFactory | None = None) -> Any:
    """Opens an input; its device is active while the pin is high, and with `pull` up while it is
    low. `factory` None: the board's own pins. Raises EdgeInspectError as `open_pin`."""
    pull_up = {"up": True, "down": False, "none": None}[pull]
    active = True if pull_up is None else None
    device = gpiozero_module().DigitalInputDevice
    return open_pin(
        name, lambda: device(pin, pull_up=pull_up, active_state=active, pin_factory=factory)
    )


def open_pin(name: str, opener: Callable[[], Any]) -> Any:
    """Calls `opener`. Raises EdgeInspectError with the pin's name, the reason and the fix."""
    from gpiozero.exc import BadPinFactory, GPIOZeroError

    try:
        return opener()
    except BadPinFactory as error:
        raise EdgeInspectError(
            f"{name}: this machine has no GPIO that gpiozero knows ({error}); run on a Raspberry "
            "Pi, install lgpio, or remove the pin"
        ) from error
    except (GPIOZeroError, OSError) as error:
        raise EdgeInspectError(f"{name}: cannot be used ({error}); choose another pin") from error
