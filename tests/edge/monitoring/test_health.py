"""The body of health and its summary."""

import json
from dataclasses import replace

import pytest

from edge.core.messages import to_json
from tests.support.clock import FakeClock
from tests.support.healthy_components import HealthyComponents

KEYS = [
    *("schema", "time", "session", "healthy", "cameras", "latency_ms", "verdicts", "broker"),
    *("outbox", "memory", "cpu", "temperature", "disk_free", "clock_synced", "faults"),
]


def test_snapshot_holds_what_the_contract_promises(box: HealthyComponents) -> None:
    """The body of `health` has the contract's keys and is JSON that every gateway reads."""
    body = json.loads(to_json(dict(box.health.report().body)))
    assert set(KEYS) <= set(body)
    assert body["schema"] == "edge-inspect/health/1"
    camera = body["cameras"]["top"]
    for key in ("state", "fps", "last_frame_age_s", "frames", "skipped", "frozen", "reconnects"):
        assert key in camera
    assert camera["skipped"] == 3
    for key in ("rows", "bytes", "oldest_age_s", "acked", "dropped", "parked"):
        assert key in body["outbox"]
    assert body["faults"] == []


@pytest.mark.parametrize(
    ("state", "healthy"),
    [
        *(("live", True), ("finished", True), ("starting", False), ("frozen", False)),
        *(("silent", False), ("lost", False), ("stopped", False)),
    ],
)
def test_healthy_only_while_every_camera_delivers(
    state: str, healthy: bool, box: HealthyComponents
) -> None:
    """A camera that is starting, frozen, silent, lost or stopped is not healthy."""
    box.reader.state = state
    assert box.health.report().body["healthy"] is healthy


def test_outbox_that_refuses_is_not_healthy(box: HealthyComponents) -> None:
    """While the outbox cannot store, the box is not healthy and says why."""
    box.writer.fault = "disk full"
    body = box.health.report().body
    assert body["healthy"] is False
    assert body["faults"][0].startswith("outbox: disk full; verdicts wait in memory")


def test_lost_broker_is_a_fault_but_healthy(box: HealthyComponents) -> None:
    """Without a broker the verdicts wait: that is a fault, and no reason to restart."""
    box.publisher.state, box.publisher.why = "offline", "no broker answers"
    body = box.health.report().body
    assert body["healthy"] is True
    assert body["faults"] == ["broker: no broker answers"]


def test_losses_are_faults(box: HealthyComponents) -> None:
    """Dropped, parked and damaged verdicts are faults, each with its number and what to do."""
    box.stats = replace(
        box.stats,
        dropped_by={"cap": 3, "age": 0, "memory": 1},
        parked=2,
        damaged=1,
        salvaged=5,
        lost_at_most=6,
    )
    faults = box.health.report().body["faults"]
    assert any(fault.startswith("outbox: 4 verdicts dropped unsent; repair") for fault in faults)
    assert any("set aside; 5 verdicts saved, at most 6 lost" in fault for fault in faults)
    assert any(fault.startswith("outbox: the broker refused 2 verdicts") for fault in faults)


def test_rates_are_taken_between_samples(box: HealthyComponents, clock: FakeClock) -> None:
    """Frames a second are computed between two samples."""
    box.reader.frames = 25
    clock.at += 2
    box.health.sample()
    assert box.health.report().body["cameras"]["top"]["fps"] == 12.5
    clock.at += 0.1
    box.health.sample()  # too soon for a rate
    assert box.health.report().body["cameras"]["top"]["fps"] == 12.5
    clock.at += 1
    box.health.sample()
    assert box.health.report().body["cameras"]["top"]["fps"] == 0


def test_age_of_the_oldest_verdict(box: HealthyComponents) -> None:
    """The oldest waiting verdict's age is the outbox's own; without one it is 0."""
    assert box.health.report().body["outbox"]["oldest_age_s"] == 0
    box.stats = replace(box.stats, oldest_age_s=12.5)
    assert box.health.report().body["outbox"]["oldest_age_s"] == 12.5


def test_summary_is_one_line(box: HealthyComponents) -> None:
    """The line for `systemctl status` names cameras, verdicts, broker and outbox."""
    line = box.health.summary()
    assert "\n" not in line
    for part in ("top live", "5 pass", "2 fail", "broker online", "2 verdicts wait"):
        assert part in line
