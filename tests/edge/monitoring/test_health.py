"""Health: one snapshot of the truth."""

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


def test_snapshot_holds_what_the_contract_promises(house: HealthyComponents) -> None:
    """The body of `health` has the contract's keys and is JSON that every gateway reads."""
    body = json.loads(to_json(dict(house.health.snapshot())))
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
    state: str, healthy: bool, house: HealthyComponents
) -> None:
    """A camera that is starting, frozen, silent, lost or stopped is not healthy."""
    house.reader.state = state
    assert house.health.healthy() is healthy


def test_outbox_that_refuses_is_not_healthy(house: HealthyComponents) -> None:
    """While the outbox cannot store, the box is not healthy and says why."""
    house.writer.fault = "disk full"
    snapshot = house.health.snapshot()
    assert snapshot["healthy"] is False
    assert snapshot["faults"][0].startswith("outbox: disk full; verdicts wait in memory")


def test_lost_broker_is_a_fault_but_healthy(house: HealthyComponents) -> None:
    """Without a broker the verdicts wait: a fault to tell, no reason to restart."""
    house.publisher.state, house.publisher.why = "offline", "no broker answers"
    snapshot = house.health.snapshot()
    assert snapshot["healthy"] is True
    assert snapshot["faults"] == ["broker: no broker answers"]


def test_losses_are_faults(house: HealthyComponents) -> None:
    """Dropped, parked and damaged verdicts are faults, each with its number and mend."""
    house.stats = replace(
        house.stats,
        dropped_by={"cap": 3, "age": 0, "memory": 1},
        parked=2,
        damaged=1,
        salvaged=5,
        lost_at_most=6,
    )
    faults = house.health.snapshot()["faults"]
    assert any(fault.startswith("outbox: 4 verdicts dropped unsent; mend") for fault in faults)
    assert any("set aside; 5 verdicts saved, at most 6 lost" in fault for fault in faults)
    assert any(fault.startswith("outbox: the broker refused 2 verdicts") for fault in faults)


def test_rates_are_taken_between_samples(house: HealthyComponents, clock: FakeClock) -> None:
    """Frames a second are counted between two samples, by the clock."""
    house.reader.frames = 25
    clock.at += 2
    house.health.sample()
    assert house.health.snapshot()["cameras"]["top"]["fps"] == 12.5
    clock.at += 0.1
    house.health.sample()  # too soon for a rate
    assert house.health.snapshot()["cameras"]["top"]["fps"] == 12.5
    clock.at += 1
    house.health.sample()
    assert house.health.snapshot()["cameras"]["top"]["fps"] == 0


def test_age_of_the_oldest_verdict(house: HealthyComponents) -> None:
    """The oldest waiting verdict's age is the outbox's own; without one it is 0."""
    assert house.health.snapshot()["outbox"]["oldest_age_s"] == 0
    house.stats = replace(house.stats, oldest_age_s=12.5)
    assert house.health.snapshot()["outbox"]["oldest_age_s"] == 12.5


def test_summary_is_one_line(house: HealthyComponents) -> None:
    """The line for `systemctl status` names cameras, verdicts, broker and outbox."""
    line = house.health.summary()
    assert "\n" not in line
    for part in ("top live", "5 pass", "2 fail", "broker online", "2 verdicts wait"):
        assert part in line
