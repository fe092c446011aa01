"""How the box is: one report, from which MQTT, HTTP and systemd all speak."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from edge.core.clock import Clock
from edge.core.messages import rfc3339
from edge.monitoring.components import Components
from edge.monitoring.faults import (
    Fault,
    camera_faults,
    config_faults,
    decoding_faults,
    delivery_faults,
    healthy,
    machine_faults,
)
from edge.monitoring.health_body import CameraSample, HealthBody, health_body
from edge.monitoring.host import HostMetrics, HostState
from edge.storage import OutboxStats

_SHOWN = 3  # faults in systemd's line
_MACHINE_S = 1.9  # some twenty files of /proc and /sys are read at every second sample


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One report. `body` is that of `health`, `faults` its faults as values, the gravest first,
    `summary` the line for `systemctl status`."""

    body: HealthBody
    faults: tuple[Fault, ...]
    summary: str


class Health:
    """The supervisor calls `sample` once a second; any thread may call the rest."""

    def __init__(
        self, components: Components, machine: HostMetrics, environment: Clock, session: str
    ) -> None:
        self._components, self._machine = components, machine
        self._environment, self._session = environment, session
        self._lock = threading.Lock()
        self._sampled = environment.tick()
        self._frames: dict[str, int] = {}
        self._fps: dict[str, float] = {}
        self._read = environment.tick()
        self._state = machine.read(self._read)

    def sample(self) -> None:
        """Takes the rates since the sample before."""
        tick = self._environment.tick()
        with self._lock:
            past = tick - self._sampled
            if past < 0.5:
                return
            frames = {reader.id: reader.frames for reader in self._components.readers.values()}
            self._fps = {
                name: round(max(0, count - self._frames.get(name, 0)) / past, 2)
                for name, count in frames.items()
            }
            self._frames = frames
            self._sampled = tick
            if tick - self._read >= _MACHINE_S:
                self._read, self._state = tick, self._machine.read(tick)

    def healthy(self) -> bool:
        """Whether every camera delivers (or has delivered all it had) and the outbox accepts."""
        return self.report().body["healthy"]

    def snapshot(self) -> HealthBody:
        """The body of `health`."""
        return self.report().body

    def summary(self) -> str:
        """One line for `systemctl status`."""
        return self.report().summary

    def report(self) -> HealthReport:
        """Reads everything once: what is told of one report cannot contradict itself."""
        components = self._components
        with self._lock:
            machine, fps = self._state, dict(self._fps)
        stats = components.writer.stats()
        cameras = [
            CameraSample(reader, reader.state, reader.why, fps.get(reader.id, 0.0))
            for reader in components.readers.values()
        ]
        faults = sorted(
            self._faults(cameras, stats, machine),
            key=lambda fault: fault.severity != "unhealthy",
        )
        body = health_body(
            components,
            cameras,
            stats,
            machine,
            time=rfc3339(self._environment.now()),
            session=self._session,
            healthy=healthy(faults),
            faults=[str(fault) for fault in faults],
        )
        return HealthReport(body, tuple(faults), _line(body))

    def _faults(
        self, cameras: list[CameraSample], stats: OutboxStats, machine: HostState
    ) -> Iterator[Fault]:
        components = self._components
        yield from camera_faults((c.reader.id, c.state, c.why) for c in cameras)
        if components.reload is not None:
            yield from config_faults(components.reload.problems, components.reload.restart_required)
        yield from delivery_faults(
            components.writer.fault,
            stats,
            "" if components.open_parts is None else components.open_parts.fault,
            components.publisher.faults(),
        )
        if components.model is not None:
            yield from decoding_faults(components.model.parity.trouble)
        yield from machine_faults(machine)


def _line(body: HealthBody) -> str:
    states = ", ".join(f"{name} {camera['state']}" for name, camera in body["cameras"].items())
    counts = ", ".join(f"{n} {name}" for name, n in body["verdicts"].items())
    faults = body["faults"]
    more = [f"{len(faults) - _SHOWN} more faults"] if len(faults) > _SHOWN else []
    line = (
        f"cameras: {states}; verdicts: {counts}; broker {body['broker']['state']}; "
        f"{body['outbox']['rows']} verdicts wait"
    )
    return "; ".join([line, *faults[:_SHOWN], *more]).replace("\n", " ")
