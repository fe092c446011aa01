"""The health snapshot in Prometheus' text format."""

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge.operation.faults import Fault

_PREFIX = "edge_inspect_"


class _Snapshot(Collector):
    """Turns one snapshot into metric families."""

    def __init__(self, snapshot: dict[str, Any], faults: Sequence[Fault]) -> None:
        self._snapshot, self._faults = snapshot, faults

    def collect(self) -> Iterator[Metric]:
        s = self._snapshot
        yield _gauge(
            "healthy", "1 while every camera delivers and the outbox accepts", s["healthy"]
        )
        yield from self._cameras()
        verdicts = CounterMetricFamily(
            _PREFIX + "verdicts", "Verdicts since start", labels=["verdict"]
        )
        for verdict, count in s["verdicts"].items():
            verdicts.add_metric([verdict], count)
        yield verdicts
        latency = GaugeMetricFamily(
            _PREFIX + "latency_milliseconds",
            "Over the last 1000 frames",
            labels=["stage", "quantile"],
        )
        for stage, values in s["latency_ms"].items():
            for name, value in values.items():
                latency.add_metric([stage, f"0.{name[1:]}"], value)
        yield latency
        yield _gauge("broker_connected", "1 while connected", s["broker"]["state"] == "online")
        outbox = s["outbox"]
        for name in ("rows", "bytes", "oldest_age_s", "parked"):
            unit = "oldest_age_seconds" if name == "oldest_age_s" else name
            yield _gauge(f"outbox_{unit}", f"Waiting in the outbox: {unit}", outbox[name])
        for name in ("stored", "acked", "dropped"):
            yield CounterMetricFamily(
                f"{_PREFIX}outbox_{name}", f"Verdicts {name} since start", outbox[name]
            )
        yield CounterMetricFamily(
            _PREFIX + "pictures_sent", "Pictures sent since start", s["pictures"]["sent"]
        )
        skipped = CounterMetricFamily(
            _PREFIX + "pictures_skipped", "Pictures not sent since start", labels=["why"]
        )
        for why, count in s["pictures"]["skipped"].items():
            skipped.add_metric([why], count)
        yield skipped
        yield from self._machine()
        yield _gauge("faults", "Faults present now", len(s["faults"]))
        fault = GaugeMetricFamily(
            _PREFIX + "fault",
            "1 for each fault present now; docs/health.md says what to do",
            labels=["kind", "part", "severity"],
        )
        for one in sorted({(f.kind, f.part, f.severity) for f in self._faults}):
            fault.add_metric(one, 1)
        yield fault

    def _machine(self) -> Iterator[Metric]:
        s = self._snapshot
        memory, power, disk = s["memory"], s["power"], s["disk"]
        yield _gauge("memory_megabytes", "Resident memory", memory["rss_mb"])
        yield _gauge("memory_available_megabytes", "Free on the box", memory["available_mb"])
        yield _gauge("memory_used_megabytes", "Of the whole service", memory["used_mb"])
        yield _gauge("memory_limit_megabytes", "Of the whole service", memory["limit_mb"])
        yield _gauge(
            "memory_pressure_percent",
            "Of the last minute, waited for memory",
            memory["pressure_percent"],
        )
        yield _gauge("cpu_percent", "Of one core", s["cpu"]["percent"])
        yield _gauge("temperature_celsius", "Hottest zone", s["temperature"])
        yield _gauge("disk_free_megabytes", "Where the outbox is", s["disk_free"])
        yield _gauge("disk_inodes_free_percent", "Where the outbox is", disk["inodes_free_percent"])
        yield _gauge("disk_read_only", "1 while mounted read-only", disk["read_only"])
        yield _gauge("clock_synced", "1 when set by the network", s["clock_synced"])
        yield _gauge("under_voltage", "1 while the supply is too weak", power["under_voltage"])
        yield _gauge("throttled", "1 while slowed by heat or voltage", power["throttled"])

    def _cameras(self) -> Iterator[Metric]:
        cameras = self._snapshot["cameras"]
        up = GaugeMetricFamily(_PREFIX + "camera_up", "1 while it delivers", labels=["camera"])
        fps = GaugeMetricFamily(_PREFIX + "camera_fps", "Frames a second", labels=["camera"])
        for name, camera in cameras.items():
            up.add_metric([name], camera["state"] in ("live", "finished"))
            fps.add_metric([name], camera["fps"])
        yield up
        yield fps
        for count in ("frames", "skipped", "repeated", "frozen", "faults", "reconnects"):
            family = CounterMetricFamily(
                f"{_PREFIX}camera_{count}", f"Camera: {count} since start", labels=["camera"]
            )
            for name, camera in cameras.items():
                family.add_metric([name], camera[count])
            yield family
        for count in ("triggered", "refused", "unused"):
            family = CounterMetricFamily(
                f"{_PREFIX}parts_{count}", f"Parts: {count} since start", labels=["camera"]
            )
            for name, camera in cameras.items():
                family.add_metric([name], camera["trigger"][count])
            yield family
        distrusted = CounterMetricFamily(
            _PREFIX + "camera_distrusted",
            "Camera: losses and untrustworthy pictures since start",
            labels=["camera", "kind"],
        )
        for name, camera in cameras.items():
            for kind, number in camera["distrusted"].items():
                distrusted.add_metric([name, kind], number)
        yield distrusted


def exposition(snapshot: dict[str, Any], faults: Sequence[Fault]) -> tuple[bytes, str]:
    """The text that Prometheus scrapes, and its content type: of one report of health."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(snapshot, faults))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, float("nan") if value is None else float(value))
