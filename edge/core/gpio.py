"""Opens a Raspberry Pi's GPIO pins. No other module imports gpiozero."""

from collections.abc import Callable
from typing import Any, Protocol

from edge.core.errors import EdgeInspectError, MissingPartError


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
            "a gpio trigger or output needs gpiozero; run in edge-inspect's folder: "
            "pip install '.[gpio]'"
        ) from error
    return gpiozero


class OutputPin:
    """One output pin, idle from the start."""

    def __init__(
        self, name: str, pin: int, *, active_high: bool, factory: PinFactory | None = None
    ) -> None:
        """`name` is the pin's key in config.yaml. `factory` None: the board's own pins.
        Raises EdgeInspectError."""
        device = gpiozero_module().DigitalOutputDevice
        self._device = open_pin(
            f"{name} {pin}",
            lambda: device(pin, active_high=active_high, initial_value=False, pin_factory=factory),
        )

    def on(self) -> None:
        self._device.on()

    def off(self) -> None:
        self._device.off()

    def close(self) -> None:
        self._device.off()
        self._device.close()


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
