"""The body of `health`, and the components that it is read from. The order of keys is the order in
the JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypedDict

from edge.capture.reader import Reader
from edge.config import ReloadState
from edge.core.messages import rfc3339
from edge.core.percentiles import Latencies
from edge.core.threads import ThreadWatch
from edge.monitoring.host import HostState
from edge.mqtt import Publisher, RequestRouter, SnapshotCounts, SnapshotSender
from edge.pipeline import PartTracker, RunningModel, WorkerPool
from edge.storage import (
    ArchiveCounts,
    HistoryStats,
    HistoryWriter,
    OutboxStats,
    OutboxWriter,
    PartJournal,
)

HEALTH_SCHEMA = "edge-inspect/health/1"


class Plant(Protocol):
    """A verdict's wires and other accessories; `edge.plant.VerdictDelivery` implements it."""

    @property
    def pin_failures(self) -> int:
        """Failed writes to the output pins."""

    @property
    def accessory_failures(self) -> int:
        """Failures beside the verdicts since the start: wires, alarm, archive, pictures."""

    def pin_faults(self) -> list[str]:
        """The output pins that fail now, one sentence each."""

    def accessory_faults(self) -> list[str]:
        """The last failure of each accessory of the last minutes, one sentence each."""

    @property
    def evidence_counts(self) -> ArchiveCounts:
        """Verdicts whose pictures were kept or skipped."""

    def evidence_faults(self) -> list[str]:
        """Faults of the kept pictures, one sentence each, with the remedy."""


class LocalSocketState(Protocol):
    """The local socket; `edge.web.LocalSocket` implements it. `fault`: why it is not there."""

    fault: str


class EstimateState(Protocol):
    """The estimate of the line; `edge.plant.DailyEstimate` implements it. None: not made yet."""

    latest: dict[str, Any] | None


class RecipeState(Protocol):
    """The recipes; `edge.plant.RecipeStatus` implements it."""

    def current(self, camera: str) -> int | None:
        """The number of a camera's current recipe; None: there is none."""

    def why_unusable(self, camera: str) -> str | None:
        """Why the parts of a camera cannot be judged by its current recipe; None: they can."""

    def faults(self) -> list[str]:
        """What is wrong beside that, one sentence each."""
        ...


class ModelState(Protocol):
    """The model versions; `edge.plant.ProbationWatch` implements it."""

    def faults(self) -> list[str]:
        """Versions that went back or should, one sentence each, with the remedy."""
        ...


@dataclass(frozen=True, slots=True)
class Components:
    """The running components that health and the supervisor read. `readers` and `trackers` are by
    camera; a reload changes them."""

    readers: Mapping[str, Reader]
    workers: WorkerPool
    latencies: Latencies
    writer: OutboxWriter
    history: HistoryWriter
    publisher: Publisher
    trackers: Mapping[str, PartTracker]
    requests: RequestRouter
    pictures: SnapshotSender
    reload: ReloadState
    part_journal: PartJournal
    model: RunningModel
    plant: Plant
    threads: ThreadWatch
    local_socket: LocalSocketState
    estimate: EstimateState
    recipes: RecipeState
    models: ModelState


class TriggerBody(TypedDict):
    """The parts of one camera since the start."""

    kind: str
    triggered: int
    refused: int
    open: int
    unused: int


class CameraBody(TypedDict):
    """One camera since the start."""

    state: str
    fps: float
    last_frame_age_s: float | None
    frames: int
    skipped: int
    repeated: int
    frozen: int
    distrusted: dict[str, int]
    faults: int
    reconnects: int
    trigger: TriggerBody
    recipe: int | None


class BrokerBody(TypedDict):
    """The connection to the broker."""

    state: str
    reconnects: int
    reason: str
    at: str
    version: str
    refused: dict[str, int]


class OutboxBody(TypedDict):
    """As `OutboxStats`."""

    rows: int
    bytes: int
    oldest_age_s: float
    held: int
    stored: int
    acked: int
    dropped: int
    dropped_by: dict[str, int]
    parked: int
    damaged: int
    salvaged: int
    lost_at_most: int
    skipped: int


class HistoryBody(TypedDict):
    """As `HistoryStats`."""

    rows: int
    bytes: int
    oldest: str | None
    not_remembered: int
    damaged: int
    salvaged: int


class ArchiveBody(TypedDict):
    """As `ArchiveCounts`."""

    kept: int
    skipped: int
    skipped_samples: int


class HealthBody(TypedDict):
    """The whole body. Sections without a type of their own are as their dataclass in host.py."""

    schema: str
    time: str
    session: str
    healthy: bool
    cameras: dict[str, CameraBody]
    latency_ms: dict[str, dict[str, float]]
    verdicts: dict[str, int]
    decoding: dict[Literal["reduced"], bool]  # the model's rule for JPEGs
    requests: dict[Literal["heard", "refused", "dropped"], int]
    pictures: SnapshotCounts
    failures: dict[Literal["threads", "pins", "accessories"], int]  # since the start
    broker: BrokerBody
    outbox: OutboxBody
    history: HistoryBody
    archive: ArchiveBody
    estimate: dict[str, Any] | None  # docs/estimate.md
    memory: dict[str, float | None]
    cpu: dict[Literal["percent"], float | None]  # of one core
    temperature: float | None
    disk_free: float | None
    disk: dict[Literal["inodes_free_percent", "read_only"], float | None]
    power: dict[str, bool | None]
    clock_synced: bool | None
    rtc: bool | None
    faults: list[str]


class CameraSample(NamedTuple):
    """The values of one camera that were read for one report."""

    reader: Reader
    state: str
    why: str
    fps: float


def health_body(
    components: Components,
    cameras: list[CameraSample],
    stats: OutboxStats,
    history: HistoryStats,
    host: HostState,
    *,
    time: str,
    session: str,
    healthy: bool,
    faults: list[str],
) -> HealthBody:
    """One report. The caller has read the values that other threads change."""
    requests, disk = components.requests, host.disk
    return {
        "schema": HEALTH_SCHEMA,
        "time": time,
        "session": session,
        "healthy": healthy,
        "cameras": {one.reader.id: _camera(components, one) for one in cameras},
        "latency_ms": components.latencies.percentiles(),
        "verdicts": {str(outcome): count for outcome, count in components.workers.counts.items()},
        "decoding": {"reduced": components.model.inspector.input.reduces},
        "requests": {
            "heard": requests.heard,
            "refused": requests.refused,
            "dropped": requests.dropped,
        },
        "pictures": components.pictures.counts(),
        "failures": {
            "threads": components.threads.failures,
            "pins": components.plant.pin_failures,
            "accessories": components.plant.accessory_failures,
        },
        "broker": _broker(components.publisher),
        "outbox": _outbox(stats),
        "history": _history(history),
        "archive": _archive(components.plant.evidence_counts),
        "estimate": components.estimate.latest,
        "memory": asdict(host.memory),
        "cpu": {"percent": host.cpu_percent},
        "temperature": host.temperature_c,
        "disk_free": disk.free_mb,
        "disk": {"inodes_free_percent": disk.inodes_free_percent, "read_only": disk.read_only},
        "power": asdict(host.power),
        "clock_synced": host.clock_synced,
        "rtc": host.rtc,
        "faults": faults,
    }


def _camera(components: Components, sample: CameraSample) -> CameraBody:
    reader = sample.reader
    age = reader.last_frame_age_s()
    return {
        "state": sample.state,
        "fps": sample.fps,
        "last_frame_age_s": None if age is None else round(age, 3),
        "frames": reader.frames,
        "skipped": components.workers.replaced(reader.id) + reader.passed_over,
        "repeated": reader.repeated,
        "frozen": reader.frozen,
        "distrusted": reader.distrusted,
        "faults": reader.faults,
        "reconnects": reader.reconnects,
        "trigger": _trigger(components.trackers.get(reader.id)),
        "recipe": components.recipes.current(reader.id),
    }


def _trigger(tracker: PartTracker | None) -> TriggerBody:
    if tracker is None:  # each frame or item is judged
        return {"kind": "continuous", "triggered": 0, "refused": 0, "open": 0, "unused": 0}
    return {
        "kind": tracker.config.kind,
        "triggered": tracker.triggered,
        "refused": tracker.refused,
        "open": tracker.open,
        "unused": tracker.unused,
    }


def _broker(publisher: Publisher) -> BrokerBody:
    return {
        "state": publisher.state,
        "reconnects": publisher.reconnects,
        "reason": publisher.why,
        "at": publisher.at,
        "version": publisher.version,
        "refused": {str(cause): count for cause, count in publisher.refused.items()},
    }


def _outbox(stats: OutboxStats) -> OutboxBody:
    return {
        "rows": stats.rows,
        "bytes": stats.bytes,
        "oldest_age_s": round(stats.oldest_age_s, 3),
        "held": stats.held,
        "stored": stats.stored,
        "acked": stats.acked,
        "dropped": stats.dropped,
        "dropped_by": {str(cause): count for cause, count in stats.dropped_by.items()},
        "parked": stats.parked,
        "damaged": stats.damaged,
        "salvaged": stats.salvaged,
        "lost_at_most": stats.lost_at_most,
        "skipped": stats.skipped,
    }


def _archive(counts: ArchiveCounts) -> ArchiveBody:
    return {
        "kept": counts.kept,
        "skipped": counts.skipped,
        "skipped_samples": counts.skipped_samples,
    }


def _history(stats: HistoryStats) -> HistoryBody:
    return {
        "rows": stats.rows,
        "bytes": stats.bytes,
        "oldest": None if stats.oldest is None else rfc3339(stats.oldest),
        "not_remembered": stats.not_remembered,
        "damaged": stats.damaged,
        "salvaged": stats.salvaged,
    }
