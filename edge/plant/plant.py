"""What tells the plant of verdicts besides MQTT: the wires and the alarm."""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from edge.config import Config
from edge.core.clock import Clock
from edge.core.gpio import PinFactory
from edge.core.verdict import Verdict
from edge.pipeline import PartTracker
from edge.plant.alarm import Alarm
from edge.plant.signal_outputs import OutputWire, SignalOutputs


class Announcer(Protocol):
    """Publishes retained bodies."""

    def announce(self, name: str, body: bytes) -> None:
        """Publishes `body` on the topic of that name, now or after the next connect."""
        ...


class PlantInterface:
    """Outputs and alarm as config.yaml says. Either may be replaced by a reload."""

    def __init__(
        self,
        config: Config,
        session: str,
        trackers: Mapping[str, PartTracker],
        announcer: Announcer,
        environment: Clock,
        *,
        alive: Callable[[], bool],
        parts_changed: threading.Event,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens the pins. Raises EdgeInspectError when one cannot be used.

        - `trackers`: of the cameras that run now; a camera is busy while it has an open part.
        - `alive`: whether all threads make progress.
        - `parts_changed`: set by others when a camera may have become busy, or free.
        - `factory`: gpiozero's pin factory; None: the board's.
        """
        self._trackers, self._environment, self._alive = trackers, environment, alive
        self._parts_changed, self._factory = parts_changed, factory
        self._session, self._announcer = session, announcer
        self._config = config
        self._outputs: SignalOutputs | None = None
        self._alarm = self._new_alarm(config)
        self._wire(config)

    @property
    def outputs(self) -> SignalOutputs | None:
        """The wires; None when config.yaml names no pin."""
        return self._outputs

    def start(self) -> None:
        """Starts the thread that drives the wires."""
        if self._outputs is not None:
            self._outputs.start()

    def signal(self, verdict: Verdict) -> None:
        """Starts the pulse of a verdict on its wire."""
        outputs = self._outputs
        if outputs is not None:
            outputs.note(verdict)

    def count(self, verdict: Verdict) -> None:
        """Counts a verdict for the alarm."""
        self._alarm.note(verdict)

    def release(self) -> None:
        """Sets all wires idle, and gives their pins back for `adopt`."""
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            outputs.close()

    def adopt(self, config: Config) -> None:
        """Wires and alarm as config.yaml says now. Raises EdgeInspectError when a pin cannot be
        used; then there are no wires until the next `adopt`."""
        if config.decision.alarm != self._config.decision.alarm:
            self._alarm = self._new_alarm(config)
        self._config = config
        if self._outputs is None:
            self._wire(config)
            self._show_alarm(self._alarm.raised)
            self.start()

    def close(self) -> None:
        """Sets all wires idle."""
        self.release()

    def _new_alarm(self, config: Config) -> Alarm:
        return Alarm(
            config.decision.alarm,
            self._session,
            self._announce_alarm,
            self._environment,
            self._show_alarm,
        )

    def _announce_alarm(self, body: bytes) -> None:
        self._announcer.announce("alarm", body)

    def _show_alarm(self, raised: bool) -> None:
        outputs = self._outputs
        if outputs is not None:
            outputs.alarm(raised)

    def _wire(self, config: Config) -> None:
        self._outputs = outputs_from(
            config,
            self._trackers,
            self._environment,
            alive=self._alive,
            wake=self._parts_changed,
            factory=self._factory,
        )


def outputs_from(
    config: Config,
    trackers: Mapping[str, PartTracker],
    environment: Clock,
    *,
    alive: Callable[[], bool],
    wake: threading.Event,
    factory: PinFactory | None = None,
) -> SignalOutputs | None:
    """The outputs, idle; None when config.yaml names no pin. Arguments as `SignalOutputs` takes
    them.
    `factory` None: the board's pins. Raises EdgeInspectError when a pin cannot be used."""
    station_outputs = config.decision.outputs
    station_pins = {
        name: pin
        for name, pin in (("alarm", station_outputs.alarm), ("alive", station_outputs.alive))
        if pin is not None
    }
    if not station_pins and not any(c.outputs.pins for c in config.cameras):
        return None
    from edge.core.gpio import OutputPin

    lamps: dict[str, dict[str, OutputWire]] = {
        camera.id: {
            name: OutputPin(
                f"cameras {camera.id}: outputs.{name}",
                pin,
                active_high=camera.outputs.active_high,
                factory=factory,
            )
            for name, pin in camera.outputs.pins.items()
        }
        for camera in config.cameras
    }
    station: dict[str, OutputWire] = {
        name: OutputPin(
            f"decision.outputs.{name}",
            pin,
            active_high=station_outputs.active_high,
            factory=factory,
        )
        for name, pin in station_pins.items()
    }
    return SignalOutputs(
        lamps,
        {camera.id: camera.outputs.pulse_ms / 1000 for camera in config.cameras},
        station,
        environment,
        trackers=trackers,
        alive=alive,
        wake=wake,
    )
