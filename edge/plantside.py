"""The side that faces the plant, besides the topics of verdicts: requests, and the wires and the
alarm that tell of parts."""

from collections.abc import Callable, Mapping
from typing import Any

from edge.capture.tracker import Tracker
from edge.config import Config
from edge.delivery.publisher import Publisher
from edge.delivery.requests import Allowance, Handler, Requests
from edge.environment import Environment
from edge.operation.alarm import Alarm
from edge.operation.desk import TriggerDesk
from edge.operation.outputs import Outputs, Wire
from edge.verdict import Verdict


class PlantSide:
    """Requests, outputs and alarm, built from config.yaml and connected."""

    def __init__(
        self,
        config: Config,
        session: str,
        trackers: Mapping[str, Tracker],
        publisher: Publisher,
        environment: Environment,
        *,
        alive: Callable[[], bool],
        handlers: Mapping[str, Handler] | None = None,
        factory: Any = None,
    ) -> None:
        """`trackers` may change meanwhile. `alive`: whether there is progress. `handlers`: of
        requests besides `trigger`. `factory` is gpiozero's; None: the board's. Raises
        EdgeInspectError when a pin cannot be used."""
        self.desk = TriggerDesk(trackers, environment)
        self._trackers, self._environment = trackers, environment
        self._session, self._alive, self._factory = session, alive, factory
        self._announce = lambda body: publisher.announce("alarm", body)
        self._config = config
        self._outputs: Outputs | None = None
        self._alarm = self._new_alarm(config)
        self._wire(config)
        allowance = Allowance(config.mqtt.max_requests_per_s, environment.tick)
        self.requests = Requests(
            {"trigger": self.desk.ask, **(handlers or {})}, publisher.reply, allowance
        )

    @property
    def outputs(self) -> Outputs | None:
        """The wires; None when config.yaml names no pin."""
        return self._outputs

    def start(self) -> None:
        """Starts the thread that drives the wires."""
        if self._outputs is not None:
            self._outputs.start()

    def tell(self, verdict: Verdict, store: Callable[[Verdict], None]) -> None:
        """One verdict, to the wires first: a pulse that comes after a slow disk would be for the
        next part."""
        outputs = self._outputs
        if outputs is not None:
            outputs.note(verdict)
        store(verdict)
        self._alarm.note(verdict)

    def parts_changed(self) -> None:
        """A camera may have become busy, or free."""
        outputs = self._outputs
        if outputs is not None:
            outputs.poke()

    def release(self) -> None:
        """All wires idle, and their pins free for `adopt`."""
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
        """All wires idle."""
        self.release()

    def _new_alarm(self, config: Config) -> Alarm:
        alarm = Alarm(config.decision.alarm, self._session, self._announce, self._environment)
        alarm.on_change = self._show_alarm
        return alarm

    def _show_alarm(self, raised: bool) -> None:
        outputs = self._outputs
        if outputs is not None:
            outputs.alarm(raised)

    def _wire(self, config: Config) -> None:
        self._outputs = outputs_from(
            config, self._trackers, self._environment, self._alive, self._factory
        )


def outputs_from(
    config: Config,
    trackers: Mapping[str, Tracker],
    environment: Environment,
    alive: Callable[[], bool],
    factory: Any = None,
) -> Outputs | None:
    """The outputs, idle; None when config.yaml names no pin. `factory` is gpiozero's; None: the
    board's. Raises EdgeInspectError when a pin cannot be used."""
    said = config.decision.outputs
    station_pins = {
        k: p for k, p in (("alarm", said.alarm), ("alive", said.alive)) if p is not None
    }
    if not station_pins and not any(c.outputs.pins for c in config.cameras):
        return None
    from edge.operation.gpio import OutputPin

    lamps: dict[str, dict[str, Wire]] = {
        camera.id: {
            name: OutputPin(
                f"cameras {camera.id}: outputs.{name}", pin, camera.outputs.active_high, factory
            )
            for name, pin in camera.outputs.pins.items()
        }
        for camera in config.cameras
    }
    station: dict[str, Wire] = {
        name: OutputPin(f"decision.outputs.{name}", pin, said.active_high, factory)
        for name, pin in station_pins.items()
    }
    return Outputs(
        lamps,
        {camera.id: camera.outputs.pulse_ms / 1000 for camera in config.cameras},
        station,
        environment,
        busy={camera.id: _is_busy(trackers, camera.id) for camera in config.cameras},
        alive=alive,
    )


def _is_busy(trackers: Mapping[str, Tracker], camera: str) -> Callable[[], bool]:
    def busy() -> bool:
        tracker = trackers.get(camera)
        return tracker is not None and tracker.open > 0

    return busy
