"""The health report in Prometheus' text format."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge.monitoring.faults import Fault
from edge.monitoring.health_body import ArchiveBody, CameraBody, HealthBody, HistoryBody, OutboxBody

_PREFIX = "edge_inspect_"

_OUTBOX_GAUGES: tuple[tuple[Literal["rows", "bytes", "oldest_age_s", "parked"], str], ...] = (
    ("rows", "rows"),
    ("bytes", "bytes"),
    ("oldest_age_s", "oldest_age_seconds"),
    ("parked", "parked"),
)
_OutboxCount = Literal["stored", "acked", "dropped"]
_CameraCount = Literal["frames", "skipped", "repeated", "frozen", "faults", "reconnects"]
_PartCount = Literal["triggered", "refused", "unused"]
_OUTBOX_COUNTS: tuple[_OutboxCount, ...] = get_args(_OutboxCount)
_CAMERA_COUNTS: tuple[_CameraCount, ...] = get_args(_CameraCount)
_PART_COUNTS: tuple[_PartCount, ...] = get_args(_PartCount)


class _Snapshot(Collector):
    """The metric families of one report."""

    def __init__(self, body: HealthBody, faults: Sequence[Fault]) -> None:
        self._body, self._faults = body, faults

    def collect(self) -> Iterator[Metric]:
        body = self._body
        yield _gauge(
            "healthy", "1 while every camera delivers and the outbox accepts", body["healthy"]
        )
        yield from _cameras(body["cameras"])
        yield _counter("verdicts", "Verdicts since start", "verdict", body["verdicts"])
        yield _latency(body["latency_ms"])
        yield _gauge("broker_connected", "1 while connected", body["broker"]["state"] == "online")
        yield from _outbox(body["outbox"])
        yield from _history(body["history"])
        yield from _archive(body["archive"])
        pictures = body["pictures"]
        yield _total("pictures_sent", "Pictures sent since start", pictures["sent"])
        skipped = pictures["skipped"]
        yield _counter("pictures_skipped", "Pictures not sent since start", "why", skipped)
        yield from _host(body)
        yield _gauge("faults", "Faults present now", len(body["faults"]))
        yield _faults(self._faults)


def exposition(body: HealthBody, faults: Sequence[Fault]) -> tuple[bytes, str]:
    """The text of one report of health, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(body, faults))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _cameras(cameras: Mapping[str, CameraBody]) -> Iterator[Metric]:
    up = _labelled_gauge("camera_up", "1 while it delivers", "camera")
    fps = _labelled_gauge("camera_fps", "Frames a second", "camera")
    for name, camera in cameras.items():
        up.add_metric([name], camera["state"] in ("live", "finished"))
        fps.add_metric([name], camera["fps"])
    yield up
    yield fps
    for count in _CAMERA_COUNTS:
        counts = {name: camera[count] for name, camera in cameras.items()}
        yield _counter(f"camera_{count}", f"Camera: {count} since start", "camera", counts)
    for part in _PART_COUNTS:
        counts = {name: camera["trigger"][part] for name, camera in cameras.items()}
        yield _counter(f"parts_{part}", f"Parts: {part} since start", "camera", counts)
    distrusted = CounterMetricFamily(
        _PREFIX + "camera_distrusted",
        "Camera: losses and untrustworthy pictures since start",
        labels=["camera", "kind"],
    )
    for name, camera in cameras.items():
        for kind, number in camera["distrusted"].items():
            distrusted.add_metric([name, kind], number)
    yield distrusted


def _latency(stages: Mapping[str, Mapping[str, float]]) -> GaugeMetricFamily:
    text = "Over the last 1000 frames"
    latency = _labelled_gauge("latency_milliseconds", text, "stage", "quantile")
    for stage, values in stages.items():
        for name, value in values.items():
            latency.add_metric([stage, f"0.{name[1:]}"], value)
    return latency


def _outbox(outbox: OutboxBody) -> Iterator[Metric]:
    for key, unit in _OUTBOX_GAUGES:
        yield _gauge(f"outbox_{unit}", f"Waiting in the outbox: {unit}", outbox[key])
    for name in _OUTBOX_COUNTS:
        yield _total(f"outbox_{name}", f"Verdicts {name} since start", outbox[name])


def _history(history: HistoryBody) -> Iterator[Metric]:
    yield _gauge("history_rows", "Remembered verdicts", history["rows"])
    yield _gauge("history_bytes", "Of the history's file", history["bytes"])
    lost = history["not_remembered"]
    yield _total("history_not_remembered", "Verdicts not remembered since start", lost)


def _archive(archive: ArchiveBody) -> Iterator[Metric]:
    yield _total("archive_kept", "Verdicts whose pictures were kept, since start", archive["kept"])
    yield _total("archive_skipped", "Those whose pictures were not", archive["skipped"])
    samples = archive["skipped_samples"]
    yield _total("archive_skipped_samples", "Those of the random sample among them", samples)


def _host(body: HealthBody) -> Iterator[Metric]:
    memory, power, disk = body["memory"], body["power"], body["disk"]
    for name, text, value in (
        ("memory_megabytes", "Resident memory", memory["rss_mb"]),
        ("memory_available_megabytes", "Free on the box", memory["available_mb"]),
        ("memory_used_megabytes", "Of the whole service", memory["used_mb"]),
        ("memory_limit_megabytes", "Of the whole service", memory["limit_mb"]),
        (
            "memory_pressure_percent",
            "Of the last minute, waited for memory",
            memory["pressure_percent"],
        ),
        ("cpu_percent", "Of one core", body["cpu"]["percent"]),
        ("temperature_celsius", "Hottest zone", body["temperature"]),
        ("disk_free_megabytes", "Where the outbox is", body["disk_free"]),
        ("disk_inodes_free_percent", "Where the outbox is", disk["inodes_free_percent"]),
        ("disk_read_only", "1 while mounted read-only", disk["read_only"]),
        ("clock_synced", "1 when set by the network", body["clock_synced"]),
        ("under_voltage", "1 while the supply is too weak", power["under_voltage"]),
        ("throttled", "1 while slowed by heat or voltage", power["throttled"]),
    ):
        yield _gauge(name, text, value)


def _faults(faults: Sequence[Fault]) -> GaugeMetricFamily:
    text = "1 for each fault present now; docs/health.md says what to do"
    family = _labelled_gauge("fault", text, "kind", "part", "severity")
    for labels in sorted({(fault.kind, fault.part, fault.severity) for fault in faults}):
        family.add_metric(labels, 1)
    return family


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _total(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, text, value)


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, float("nan") if value is None else float(value))


def _labelled_gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, labels=labels)
