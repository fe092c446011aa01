"""The health report in Prometheus' text format."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge.monitoring.faults import Fault
from edge.monitoring.health_body import CameraBody, HealthBody

_PREFIX = "edge_inspect_"

_OUTBOX_GAUGES: tuple[tuple[Literal["rows", "bytes", "oldest_age_s", "parked"], str], ...] = (
    ("rows", "rows"),
    ("bytes", "bytes"),
    ("oldest_age_s", "oldest_age_seconds"),
    ("parked", "parked"),
)
_OUTBOX_COUNTS: tuple[Literal["stored", "acked", "dropped"], ...] = ("stored", "acked", "dropped")
_CameraCount = Literal["frames", "skipped", "repeated", "frozen", "faults", "reconnects"]
_CAMERA_COUNTS: tuple[_CameraCount, ...] = (
    *("frames", "skipped", "repeated", "frozen", "faults", "reconnects"),
)
_PART_COUNTS: tuple[Literal["triggered", "refused", "unused"], ...] = (
    *("triggered", "refused", "unused"),
)


class _Snapshot(Collector):
    """Turns one report into metric families."""

    def __init__(self, body: HealthBody, faults: Sequence[Fault]) -> None:
        self._body, self._faults = body, faults

    def collect(self) -> Iterator[Metric]:
        body = self._body
        yield _gauge(
            "healthy", "1 while every camera delivers and the outbox accepts", body["healthy"]
        )
        yield from _cameras(body["cameras"])
        yield from self._verdicts()
        yield from self._delivery()
        yield from self._machine()
        yield from self._present_faults()

    def _verdicts(self) -> Iterator[Metric]:
        yield _counter("verdicts", "Verdicts since start", "verdict", self._body["verdicts"])
        latency = GaugeMetricFamily(
            _PREFIX + "latency_milliseconds",
            "Over the last 1000 frames",
            labels=["stage", "quantile"],
        )
        for stage, values in self._body["latency_ms"].items():
            for name, value in values.items():
                latency.add_metric([stage, f"0.{name[1:]}"], value)
        yield latency

    def _delivery(self) -> Iterator[Metric]:
        body, outbox = self._body, self._body["outbox"]
        yield _gauge("broker_connected", "1 while connected", body["broker"]["state"] == "online")
        for key, unit in _OUTBOX_GAUGES:
            yield _gauge(f"outbox_{unit}", f"Waiting in the outbox: {unit}", outbox[key])
        for name in _OUTBOX_COUNTS:
            yield CounterMetricFamily(
                f"{_PREFIX}outbox_{name}", f"Verdicts {name} since start", outbox[name]
            )
        pictures = body["pictures"]
        yield CounterMetricFamily(
            _PREFIX + "pictures_sent", "Pictures sent since start", pictures["sent"]
        )
        yield _counter(
            "pictures_skipped", "Pictures not sent since start", "why", pictures["skipped"]
        )

    def _machine(self) -> Iterator[Metric]:
        body = self._body
        memory, power, disk = body["memory"], body["power"], body["disk"]
        yield _gauge("memory_megabytes", "Resident memory", memory["rss_mb"])
        yield _gauge("memory_available_megabytes", "Free on the box", memory["available_mb"])
        yield _gauge("memory_used_megabytes", "Of the whole service", memory["used_mb"])
        yield _gauge("memory_limit_megabytes", "Of the whole service", memory["limit_mb"])
        yield _gauge(
            "memory_pressure_percent",
            "Of the last minute, waited for memory",
            memory["pressure_percent"],
        )
        yield _gauge("cpu_percent", "Of one core", body["cpu"]["percent"])
        yield _gauge("temperature_celsius", "Hottest zone", body["temperature"])
        yield _gauge("disk_free_megabytes", "Where the outbox is", body["disk_free"])
        yield _gauge("disk_inodes_free_percent", "Where the outbox is", disk["inodes_free_percent"])
        yield _gauge("disk_read_only", "1 while mounted read-only", disk["read_only"])
        yield _gauge("clock_synced", "1 when set by the network", body["clock_synced"])
        yield _gauge("under_voltage", "1 while the supply is too weak", power["under_voltage"])
        yield _gauge("throttled", "1 while slowed by heat or voltage", power["throttled"])

    def _present_faults(self) -> Iterator[Metric]:
        yield _gauge("faults", "Faults present now", len(self._body["faults"]))
        fault = GaugeMetricFamily(
            _PREFIX + "fault",
            "1 for each fault present now; docs/health.md says what to do",
            labels=["kind", "part", "severity"],
        )
        for one in sorted({(f.kind, f.part, f.severity) for f in self._faults}):
            fault.add_metric(one, 1)
        yield fault


def exposition(body: HealthBody, faults: Sequence[Fault]) -> tuple[bytes, str]:
    """The text that Prometheus scrapes, and its content type: of one report of health."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(body, faults))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _cameras(cameras: Mapping[str, CameraBody]) -> Iterator[Metric]:
    up = GaugeMetricFamily(_PREFIX + "camera_up", "1 while it delivers", labels=["camera"])
    fps = GaugeMetricFamily(_PREFIX + "camera_fps", "Frames a second", labels=["camera"])
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


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, float("nan") if value is None else float(value))
