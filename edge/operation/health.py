"""How the box is: one snapshot, from which MQTT, HTTP and systemd all speak."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edge.capture.reader import Reader, State
from edge.capture.tracker import Tracker
from edge.delivery.message import rfc3339
from edge.delivery.openparts import OpenParts
from edge.delivery.pictures import SKIPS, Pictures
from edge.delivery.publisher import Publisher
from edge.delivery.requests import Requests
from edge.delivery.stats import OutboxStats
from edge.delivery.writer import OutboxWriter
from edge.environment import Environment
from edge.operation.faults import (
    Fault,
    camera_faults,
    config_faults,
    decoding_faults,
    delivery_faults,
    healthy,
    machine_faults,
)
from edge.operation.latencies import Latencies
from edge.operation.machine import Machine, MachineState
from edge.operation.parity import Parity
from edge.operation.picturedesk import PictureDesk
from edge.operation.reloader import Reloader
from edge.verdict import Outcome

HEALTH_SCHEMA = "edge-inspect/health/1"
_SHOWN = 3  # faults in systemd's line
_MACHINE_S = 1.9  # some twenty files of /proc and /sys are read at every other look


class Counting(Protocol):
    """What health asks of those who judge."""

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many verdicts of each outcome."""

    @property
    def beat(self) -> float:
        """When they last made progress, monotonic seconds."""

    def replaced(self, camera: str) -> int:
        """How many frames of a camera were replaced before they were judged."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The running parts that health looks at."""

    readers: Mapping[str, Reader]
    judging: Counting
    latencies: Latencies
    writer: OutboxWriter
    publisher: Publisher
    trackers: Mapping[str, Tracker] = field(default_factory=dict)  # of cameras with a trigger
    requests: Requests | None = None
    pictures: Pictures | None = None
    picture_desk: PictureDesk | None = None
    reloader: Reloader | None = None
    open_parts: OpenParts | None = None
    parity: Callable[[], Parity] = Parity  # of the model that judges now


@dataclass(frozen=True, slots=True)
class Report:
    """One look at everything. `body` is that of `health`, `faults` its faults as values, the
    gravest first, `summary` the line for `systemctl status`."""

    body: dict[str, Any]
    faults: tuple[Fault, ...]
    summary: str


class Health:
    """`sample` is called once a second by the supervisor; `snapshot` by whoever asks."""

    def __init__(
        self, parts: Parts, machine: Machine, environment: Environment, session: str
    ) -> None:
        self._parts, self._machine = parts, machine
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
            frames = {reader.id: reader.frames for reader in self._parts.readers.values()}
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
        return bool(self.report().body["healthy"])

    def snapshot(self) -> dict[str, Any]:
        """The body of `health`."""
        return self.report().body

    def summary(self) -> str:
        """One line for `systemctl status`."""
        return self.report().summary

    def report(self) -> Report:
        """One look, of which everybody tells: no two of them can contradict each other."""
        parts = self._parts
        with self._lock:
            machine, fps = self._state, dict(self._fps)
        stats = parts.writer.stats()
        states = [(reader, reader.state, reader.why) for reader in parts.readers.values()]
        faults = sorted(
            self._faults([(r.id, state, why) for r, state, why in states], stats, machine),
            key=lambda fault: fault.severity != "unhealthy",
        )
        body = self._body(states, stats, machine, fps)
        body["healthy"] = healthy(faults)
        body["faults"] = [str(fault) for fault in faults]
        return Report(body, tuple(faults), self._line(body))

    def _body(
        self,
        states: list[tuple[Reader, State, str]],
        stats: OutboxStats,
        machine: MachineState,
        fps: dict[str, float],
    ) -> dict[str, Any]:
        parts = self._parts
        return {
            "schema": HEALTH_SCHEMA,
            "time": rfc3339(self._environment.now()),
            "session": self._session,
            "healthy": False,
            "cameras": {
                reader.id: {
                    "state": state,
                    "fps": fps.get(reader.id, 0.0),
                    "last_frame_age_s": _rounded(reader.last_frame_age_s()),
                    "frames": reader.frames,
                    "skipped": parts.judging.replaced(reader.id) + reader.passed_over,
                    "repeated": reader.repeated,
                    "frozen": reader.frozen,
                    "distrusted": reader.distrusted,
                    "faults": reader.faults,
                    "reconnects": reader.reconnects,
                    "trigger": _trigger(parts.trackers.get(reader.id)),
                }
                for reader, state, _ in states
            },
            "latency_ms": parts.latencies.percentiles(),
            "verdicts": dict(parts.judging.counts),
            "decoding": _decoding(parts.parity()),
            "requests": _requests(parts.requests),
            "pictures": _pictures(parts.pictures),
            "broker": {
                "state": parts.publisher.state,
                "reconnects": parts.publisher.reconnects,
                "reason": parts.publisher.why,
                "at": parts.publisher.at,
                "version": parts.publisher.version,
                "refused": parts.publisher.refused,
            },
            "outbox": {
                "rows": stats.rows,
                "bytes": stats.bytes,
                "oldest_age_s": _rounded(stats.oldest_age_s),
                "held": stats.held,
                "stored": stats.stored,
                "acked": stats.acked,
                "dropped": stats.dropped,
                "dropped_by": dict(stats.dropped_by),
                "parked": stats.parked,
                "damaged": stats.damaged,
                "salvaged": stats.salvaged,
                "lost_at_most": stats.lost_at_most,
                "skipped": stats.skipped,
            },
            "memory": asdict(machine.memory),
            "cpu": {"percent": machine.cpu_percent},
            "temperature": machine.temperature_c,
            "disk_free": machine.disk.free_mb,
            "disk": {
                "inodes_free_percent": machine.disk.inodes_free_percent,
                "read_only": machine.disk.read_only,
            },
            "power": asdict(machine.power),
            "clock_synced": machine.clock_synced,
            "rtc": machine.rtc,
            "faults": [],
        }

    def _faults(
        self, cameras: list[tuple[str, str, str]], stats: OutboxStats, machine: MachineState
    ) -> Iterator[Fault]:
        parts, reloader = self._parts, self._parts.reloader
        yield from camera_faults(cameras)
        if reloader is not None:
            yield from config_faults(reloader.problems, reloader.restart_required)
        yield from delivery_faults(
            parts.writer.fault,
            stats,
            "" if parts.open_parts is None else parts.open_parts.fault,
            parts.publisher.faults(),
        )
        yield from decoding_faults(parts.parity().trouble)
        yield from machine_faults(machine)

    @staticmethod
    def _line(body: dict[str, Any]) -> str:
        states = ", ".join(f"{name} {said['state']}" for name, said in body["cameras"].items())
        counts = ", ".join(f"{n} {name}" for name, n in body["verdicts"].items())
        faults = body["faults"]
        more = [f"{len(faults) - _SHOWN} more faults"] if len(faults) > _SHOWN else []
        line = (
            f"cameras: {states}; verdicts: {counts}; broker {body['broker']['state']}; "
            f"{body['outbox']['rows']} verdicts wait"
        )
        return "; ".join([line, *faults[:_SHOWN], *more]).replace("\n", " ")


def _trigger(tracker: Tracker | None) -> dict[str, Any]:
    if tracker is None:  # each frame or item is judged
        return {"kind": "continuous", "triggered": 0, "refused": 0, "open": 0, "unused": 0}
    return {
        "kind": tracker.config.kind,
        "triggered": tracker.triggered,
        "refused": tracker.refused,
        "open": tracker.open,
        "unused": tracker.unused,
    }


def _decoding(parity: Parity) -> dict[str, Any]:
    return {"compared": parity.compared, "flips": parity.flips, "reduced": parity.holds}


def _requests(requests: Requests | None) -> dict[str, int]:
    if requests is None:
        return {"heard": 0, "refused": 0, "dropped": 0}
    return {
        "heard": requests.heard,
        "refused": requests.refused,
        "dropped": requests.dropped,
    }


def _pictures(pictures: Pictures | None) -> dict[str, Any]:
    if pictures is None:
        return {"sent": 0, "skipped": dict.fromkeys(SKIPS, 0)}
    return pictures.counts()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
