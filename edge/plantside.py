"""The side that faces the plant, besides the topics of verdicts: what announces parts, and the
wires and the alarm that tell of them."""

from collections.abc import Callable, Mapping
from typing import Any

from edge.capture.tracker import Tracker
from edge.config import Config
from edge.delivery.publisher import Publisher
from edge.delivery.requests import Allowance, Handler, Requests
from edge.environment import Environment, Stop
from edge.operation.alarm import Alarm
from edge.operation.desk import TriggerDesk
from edge.operation.outputs import Outputs, Wire
from edge.operation.triggers import Triggers
from edge.verdict import Verdict


class PlantSide:
    """Inputs, requests, outputs and alarm, built from config.yaml and connected."""

    def __init__(
        self,
        config: Config,
        session: str,
        trackers: Mapping[str, Tracker],
        publisher: Publisher,
        environment: Environment,
        *,
        wake: Callable[[], None],
        alive: Callable[[], bool],
        handlers: Mapping[str, Handler] | None = None,
        factory: Any = None,
    ) -> None:
        """`handlers`: of requests besides `trigger`. `wake`: a part was announced, and so a
        deadline may be nearer. `alive`: whether there is progress. `factory` is gpiozero's; None:
        the board's. Raises EdgeInspectError when a pin cannot be used."""
        self.desk = TriggerDesk(trackers, environment)
        self.outputs = outputs_from(config, trackers, environment, alive, factory)
        self._trackers, self._wake = trackers, wake
        self._alarm = Alarm(
            config.decision.alarm,
            session,
            lambda body: publisher.announce("alarm", body),
            environment,
        )
        if self.outputs is not None:
            self._alarm.on_change = self.outputs.alarm
        for tracker in trackers.values():
            tracker.on_change = self._parts_changed
        allowance = Allowance(config.mqtt.max_requests_per_s, environment.tick)
        self.requests = Requests(
            {"trigger": self.desk.ask, **(handlers or {})}, publisher.reply, allowance
        )
        publisher.on_request = self.requests.hear
        self._triggers = Triggers(trackers, environment, factory)  # last: from here on they come

    def start(self, stop: Stop) -> None:
        """Clocks start to trigger, until `stop`."""
        self._triggers.start(stop)

    def tell(self, verdict: Verdict, store: Callable[[Verdict], None]) -> None:
        """One verdict, to the wires first: a pulse that comes after a slow disk would be for the
        next part."""
        if self.outputs is not None:
            self.outputs.note(verdict)
        store(verdict)
        self._alarm.note(verdict)

    def shut(self) -> None:
        """Nothing is announced any more; what is open is answered by inspection."""
        self._triggers.close()
        for tracker in self._trackers.values():
            tracker.shut()

    def close(self) -> None:
        """All wires idle."""
        if self.outputs is not None:
            self.outputs.close()

    def _parts_changed(self) -> None:
        self._wake()
        if self.outputs is not None:
            self.outputs.poke()


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
        busy={name: _is_busy(tracker) for name, tracker in trackers.items()},
        alive=alive,
    )


def _is_busy(tracker: Tracker) -> Callable[[], bool]:
    return lambda: tracker.open > 0
