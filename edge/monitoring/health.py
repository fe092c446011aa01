"""The state of the box: one report, which MQTT, HTTP and systemd all show."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from edge.core.clock import Clock
from edge.core.messages import rfc3339
from edge.monitoring.faults import (
    Fault,
    camera_faults,
    config_faults,
    delivery_faults,
    evidence_faults,
    healthy,
    history_faults,
    local_faults,
    machine_faults,
    model_faults,
    plant_faults,
    recipe_faults,
    thread_faults,
)
from edge.monitoring.health_body import CameraSample, Components, HealthBody, health_body
from edge.monitoring.host import HostMetrics, HostState
from edge.storage import HistoryStats, OutboxStats

_SHOWN_FAULTS = 3  # in systemd's line
_MIN_SAMPLE_S = 0.5
_HOST_INTERVAL_S = 1.9  # about twenty files of /proc and /sys, read at every second sample


@dataclass(frozen=True, slots=True)
class HealthReport:
    """body: of the topic `health`. faults: its faults as values, `unhealthy` first. summary: the
    line for `systemctl status`."""

    body: HealthBody
    faults: tuple[Fault, ...]
    summary: str


class Health:
    """The supervisor calls `sample` once a second; any thread may call the rest."""

    def __init__(
        self, components: Components, host: HostMetrics, clock: Clock, session: str
    ) -> None:
        self._components, self._host = components, host
        self._clock, self._session = clock, session
        self._lock = threading.Lock()
        self._sampled_at = self._host_read_at = clock.tick()
        self._frames: dict[str, int] = {}
        self._fps: dict[str, float] = {}
        self._host_state = host.read(self._host_read_at)

    def sample(self) -> None:
        """Computes the rates since the previous sample."""
        tick = self._clock.tick()
        with self._lock:
            passed = tick - self._sampled_at
            if passed < _MIN_SAMPLE_S:
                return
            frames = {reader.id: reader.frames for reader in self._components.readers.values()}
            self._fps = {
                name: round(max(0, count - self._frames.get(name, 0)) / passed, 2)
                for name, count in frames.items()
            }
            self._frames = frames
            self._sampled_at = tick
            if tick - self._host_read_at >= _HOST_INTERVAL_S:
                self._host_read_at, self._host_state = tick, self._host.read(tick)

    def summary(self) -> str:
        """One line for `systemctl status`."""
        return self.report().summary

    def report(self) -> HealthReport:
        """Reads everything once, so that one report cannot contradict itself."""
        components = self._components
        with self._lock:
            host, fps = self._host_state, dict(self._fps)
        stats, history = components.writer.stats(), components.history.stats()
        cameras = [
            CameraSample(reader, reader.state, reader.why, fps.get(reader.id, 0.0))
            for reader in components.readers.values()
        ]
        faults = sorted(
            self._faults(cameras, stats, history, host),
            key=lambda fault: fault.severity != "unhealthy",
        )
        body = health_body(
            components,
            cameras,
            stats,
            history,
            host,
            time=rfc3339(self._clock.now()),
            session=self._session,
            healthy=healthy(faults),
            faults=[str(fault) for fault in faults],
        )
        return HealthReport(body, tuple(faults), _summary(body))

    def _faults(
        self,
        cameras: list[CameraSample],
        stats: OutboxStats,
        history: HistoryStats,
        host: HostState,
    ) -> Iterator[Fault]:
        components, reload = self._components, self._components.reload
        yield from thread_faults(components.threads.faults())
        yield from plant_faults(components.plant.pin_faults(), components.plant.accessory_faults())
        yield from evidence_faults(components.plant.evidence_faults())
        yield from camera_faults((c.reader.id, c.state, c.why) for c in cameras)
        recipes = components.recipes
        unusable = ((c.reader.id, recipes.why_unusable(c.reader.id)) for c in cameras)
        yield from recipe_faults(
            ((camera, why) for camera, why in unusable if why), recipes.faults()
        )
        yield from model_faults(components.models.faults())
        yield from config_faults(reload.problems, reload.restart_required)
        yield from delivery_faults(
            components.writer.fault,
            stats,
            components.part_journal.fault,
            components.publisher.faults(),
        )
        yield from local_faults(components.local_socket.fault)
        yield from history_faults(history)
        yield from machine_faults(host)


def prometheus_text(report: HealthReport) -> tuple[bytes, str]:
    """The report in Prometheus' text format, and its content type. The format's package is
    optional, so only this function imports it."""
    from edge.monitoring.prometheus import exposition

    return exposition(report.body, report.faults)


def _summary(body: HealthBody) -> str:
    states = ", ".join(f"{name} {camera['state']}" for name, camera in body["cameras"].items())
    counts = ", ".join(f"{n} {name}" for name, n in body["verdicts"].items())
    faults = body["faults"]
    hidden = len(faults) - _SHOWN_FAULTS
    more = [f"{hidden} more faults"] if hidden > 0 else []
    line = (
        f"cameras: {states}; verdicts: {counts}; broker {body['broker']['state']}; "
        f"{body['outbox']['rows']} verdicts wait"
    )
    return "; ".join([line, *faults[:_SHOWN_FAULTS], *more]).replace("\n", " ")
