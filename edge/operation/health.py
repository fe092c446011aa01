"""How the box is: one snapshot, from which MQTT, HTTP and systemd all speak."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.capture.camera import FAULT_KINDS
from edge.capture.mailbox import Mailbox
from edge.capture.reader import Reader
from edge.capture.tracker import Tracker
from edge.delivery.message import rfc3339
from edge.delivery.pictures import SKIPS, Pictures
from edge.delivery.publisher import Publisher
from edge.delivery.requests import Requests
from edge.delivery.writer import OutboxWriter
from edge.environment import Environment
from edge.operation.judging import Judging
from edge.operation.latencies import Latencies
from edge.operation.machine import Machine
from edge.operation.picturedesk import PictureDesk
from edge.operation.reloader import Reloader

HEALTH_SCHEMA = "edge-inspect/health/1"
_DISK_LOW_MB = 100.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The running parts that health looks at."""

    readers: Mapping[str, Reader]
    mailbox: Mailbox
    latencies: Latencies
    judging: Judging
    writer: OutboxWriter
    publisher: Publisher
    trackers: Mapping[str, Tracker] = field(default_factory=dict)  # of cameras with a trigger
    requests: Requests | None = None
    pictures: Pictures | None = None
    picture_desk: PictureDesk | None = None
    reloader: Reloader | None = None


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
        self._state = machine.read(environment.tick())

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
            self._state = self._machine.read(tick)

    def healthy(self) -> bool:
        """Whether every camera delivers (or has delivered all it had) and the outbox accepts."""
        cameras = all(r.state in ("live", "finished") for r in self._parts.readers.values())
        return cameras and not self._parts.writer.fault

    def snapshot(self) -> dict[str, Any]:
        """The body of `health`."""
        parts, now = self._parts, self._environment.now()
        stats = parts.writer.stats()
        with self._lock:
            machine, fps = self._state, dict(self._fps)
        return {
            "schema": HEALTH_SCHEMA,
            "time": rfc3339(now),
            "session": self._session,
            "healthy": self.healthy(),
            "cameras": {
                reader.id: {
                    "state": reader.state,
                    "fps": fps.get(reader.id, 0.0),
                    "last_frame_age_s": _rounded(reader.last_frame_age_s()),
                    "frames": reader.frames,
                    "skipped": parts.mailbox.replaced(reader.id) + reader.passed_over,
                    "repeated": reader.repeated,
                    "frozen": reader.frozen,
                    "distrusted": reader.distrusted,
                    "faults": reader.faults,
                    "reconnects": reader.reconnects,
                    "trigger": _trigger(parts.trackers.get(reader.id)),
                }
                for reader in parts.readers.values()
            },
            "latency_ms": parts.latencies.percentiles(),
            "verdicts": dict(parts.judging.counts),
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
            "memory": {"rss_mb": machine.rss_mb, "peak_mb": machine.peak_mb},
            "cpu": {"percent": machine.cpu_percent},
            "temperature": machine.temperature_c,
            "disk_free": machine.disk_free_mb,
            "clock_synced": machine.clock_synced,
            "faults": self._faults(),
        }

    def summary(self) -> str:
        """One line for `systemctl status`."""
        parts, stats = self._parts, self._parts.writer.stats()
        states = ", ".join(f"{r.id} {r.state}" for r in parts.readers.values())
        counts = ", ".join(f"{n} {name}" for name, n in parts.judging.counts.items())
        line = (
            f"cameras: {states}; verdicts: {counts}; broker {parts.publisher.state}; "
            f"{stats.rows} verdicts wait"
        )
        return "; ".join([line, *self._config_faults()])

    def _config_faults(self) -> list[str]:
        reloader = self._parts.reloader
        if reloader is None:
            return []
        if reloader.problems:
            more = len(reloader.problems) - 1
            others = f" and {more} more" if more else ""
            return [f"new configuration refused: {reloader.problems[0]}{others}; the old one runs"]
        if reloader.restart_required:
            keys = ", ".join(reloader.restart_required)
            return [f"{keys} changed in config.yaml: systemctl restart edge-inspect"]
        return []

    def _faults(self) -> list[str]:
        parts, stats = self._parts, self._parts.writer.stats()
        faults = [
            f"camera {reader.id}: {reader.why or reader.state}"
            for reader in parts.readers.values()
            if reader.state in FAULT_KINDS
        ]
        faults += [f"broker: {sentence}" for sentence in parts.publisher.faults()]
        if parts.writer.fault:
            faults.append(f"outbox: {parts.writer.fault}")
        if stats.dropped:
            faults.append(
                f"outbox: {stats.dropped} verdicts dropped unsent; mend the broker, or raise "
                "outbox.max_mb or outbox.max_age_h"
            )
        if stats.damaged:
            faults.append(
                f"outbox: the file was damaged and set aside; {stats.salvaged} verdicts saved, at "
                f"most {stats.lost_at_most} lost; replace the SD card"
            )
        if stats.parked:
            faults.append(f"outbox: the broker refused {stats.parked} verdicts; see its log")
        faults += self._config_faults()
        if self._state.disk_free_mb is not None and self._state.disk_free_mb < _DISK_LOW_MB:
            faults.append(f"disk: only {self._state.disk_free_mb:.0f} MB free; make room")
        if self._state.hot:
            faults.append(f"temperature: {self._state.temperature_c} °C; cool the box")
        return faults


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
