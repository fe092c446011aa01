"""The body of `health`, section by section. The order of keys is the order in the JSON."""

from typing import Literal, NamedTuple, TypedDict

from edge.monitoring.components import (
    Broker,
    CameraReader,
    Components,
    PartTracker,
    PictureCounts,
    RequestCounts,
)
from edge.monitoring.host import HostState
from edge.mqtt.snapshots import SKIPS
from edge.pipeline import DecodeParity
from edge.storage import OutboxStats

HEALTH_SCHEMA = "edge-inspect/health/1"


class TriggerBody(TypedDict):
    """The parts of one camera, counted since the start."""

    kind: str
    triggered: int
    refused: int
    open: int
    unused: int


class CameraBody(TypedDict):
    """One camera, counted since the start."""

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


class DecodingBody(TypedDict):
    """Pictures decoded at reduced scale, compared with whole ones."""

    compared: int
    flips: int
    reduced: bool


class RequestsBody(TypedDict):
    """Requests over MQTT."""

    heard: int
    refused: int
    dropped: int


class PicturesBody(TypedDict):
    """Pictures on the topic `snapshot`."""

    sent: int
    skipped: dict[str, int]


class BrokerBody(TypedDict):
    """The connection to the broker."""

    state: str
    reconnects: int
    reason: str
    at: str
    version: str
    refused: dict[str, int]


class OutboxBody(TypedDict):
    """What is stored, sent and lost."""

    rows: int
    bytes: int
    oldest_age_s: float | None
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


class MemoryBody(TypedDict):
    """As `MemoryState`."""

    rss_mb: float | None
    peak_mb: float | None
    available_mb: float | None
    used_mb: float | None
    limit_mb: float | None
    pressure_percent: float | None


class DiskBody(TypedDict):
    """Where the outbox is."""

    inodes_free_percent: float | None
    read_only: bool | None


class PowerBody(TypedDict):
    """As `PowerState`."""

    under_voltage: bool | None
    under_voltage_earlier: bool | None
    throttled: bool | None
    throttled_earlier: bool | None


class HealthBody(TypedDict):
    """All of it."""

    schema: str
    time: str
    session: str
    healthy: bool
    cameras: dict[str, CameraBody]
    latency_ms: dict[str, dict[str, float]]
    verdicts: dict[str, int]
    decoding: DecodingBody
    requests: RequestsBody
    pictures: PicturesBody
    broker: BrokerBody
    outbox: OutboxBody
    memory: MemoryBody
    cpu: dict[Literal["percent"], float | None]  # of one core
    temperature: float | None
    disk_free: float | None
    disk: DiskBody
    power: PowerBody
    clock_synced: bool | None
    rtc: bool | None
    faults: list[str]


class CameraSample(NamedTuple):
    """What was read of one camera for one report."""

    reader: CameraReader
    state: str
    why: str
    fps: float


def health_body(
    components: Components,
    cameras: list[CameraSample],
    stats: OutboxStats,
    machine: HostState,
    *,
    time: str,
    session: str,
    healthy: bool,
    faults: list[str],
) -> HealthBody:
    """One report. What changes while it is made was read before, and is passed."""
    model, disk = components.model, machine.disk
    return {
        "schema": HEALTH_SCHEMA,
        "time": time,
        "session": session,
        "healthy": healthy,
        "cameras": {one.reader.id: _camera(components, one) for one in cameras},
        "latency_ms": components.latencies.percentiles(),
        "verdicts": {str(outcome): count for outcome, count in components.workers.counts.items()},
        "decoding": _decoding(DecodeParity() if model is None else model.parity),
        "requests": _requests(components.requests),
        "pictures": _pictures(components.pictures),
        "broker": _broker(components.publisher),
        "outbox": _outbox(stats),
        "memory": _memory(machine),
        "cpu": {"percent": machine.cpu_percent},
        "temperature": machine.temperature_c,
        "disk_free": disk.free_mb,
        "disk": {"inodes_free_percent": disk.inodes_free_percent, "read_only": disk.read_only},
        "power": _power(machine),
        "clock_synced": machine.clock_synced,
        "rtc": machine.rtc,
        "faults": faults,
    }


def _camera(components: Components, sample: CameraSample) -> CameraBody:
    reader = sample.reader
    return {
        "state": sample.state,
        "fps": sample.fps,
        "last_frame_age_s": _rounded(reader.last_frame_age_s()),
        "frames": reader.frames,
        "skipped": components.workers.replaced(reader.id) + reader.passed_over,
        "repeated": reader.repeated,
        "frozen": reader.frozen,
        "distrusted": reader.distrusted,
        "faults": reader.faults,
        "reconnects": reader.reconnects,
        "trigger": _trigger(components.trackers.get(reader.id)),
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


def _decoding(parity: DecodeParity) -> DecodingBody:
    return {"compared": parity.compared, "flips": parity.flips, "reduced": parity.holds}


def _requests(requests: RequestCounts | None) -> RequestsBody:
    if requests is None:
        return {"heard": 0, "refused": 0, "dropped": 0}
    return {"heard": requests.heard, "refused": requests.refused, "dropped": requests.dropped}


def _pictures(pictures: PictureCounts | None) -> PicturesBody:
    if pictures is None:
        return {"sent": 0, "skipped": dict.fromkeys(SKIPS, 0)}
    counts = pictures.counts()
    return {"sent": counts["sent"], "skipped": counts["skipped"]}


def _broker(publisher: Broker) -> BrokerBody:
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
        "oldest_age_s": _rounded(stats.oldest_age_s),
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


def _memory(machine: HostState) -> MemoryBody:
    memory = machine.memory
    return {
        "rss_mb": memory.rss_mb,
        "peak_mb": memory.peak_mb,
        "available_mb": memory.available_mb,
        "used_mb": memory.used_mb,
        "limit_mb": memory.limit_mb,
        "pressure_percent": memory.pressure_percent,
    }


def _power(machine: HostState) -> PowerBody:
    power = machine.power
    return {
        "under_voltage": power.under_voltage,
        "under_voltage_earlier": power.under_voltage_earlier,
        "throttled": power.throttled,
        "throttled_earlier": power.throttled_earlier,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
