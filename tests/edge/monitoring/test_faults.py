"""Faults: one table of them all, the same in code and documentation, and one report."""

import re
from pathlib import Path

import pytest

from edge.capture.camera import FAULT_KINDS
from edge.core.threads import ThreadFault
from edge.monitoring.faults import (
    KINDS,
    Fault,
    camera_faults,
    config_faults,
    delivery_faults,
    evidence_faults,
    history_faults,
    local_faults,
    machine_faults,
    model_faults,
    plant_faults,
    recipe_faults,
    thread_faults,
)
from edge.monitoring.host import DiskState, HostState, MemoryState, PowerState
from edge.storage import HistoryStats, OutboxStats
from tests.support.healthy_components import HealthyComponents

ROOT = Path(__file__).parents[3]
_ROW = re.compile(r"^\| `(\w+)` \| (\*\*unhealthy\*\*|warning) \| .+ \| .+ \|$", re.MULTILINE)
FAULTY_HOST = HostState(
    temperature_c=85.0,
    clock_synced=False,
    rtc=False,
    memory=MemoryState(available_mb=10.0),
    disk=DiskState(5.0, 1.0, True),
    power=PowerState(True, True, True, True),
)
LOSSES = OutboxStats(
    dropped_by={"cap": 1, "age": 0, "memory": 0}, damaged=1, salvaged=2, lost_at_most=3, parked=4
)


def every_fault() -> list[Fault]:
    """One fault of each kind, built as the daemon builds them."""
    states = [*FAULT_KINDS, "starting", "stopped"]
    return [
        *camera_faults((state, state, "") for state in states),
        *delivery_faults("disk full", LOSSES, "no room", ["no broker answers"]),
        *history_faults(HistoryStats(damaged=1, not_remembered=4, fault="history.db: no room")),
        *config_faults(["config.yaml:3:1: wrong"], []),
        *thread_faults(
            ThreadFault("outbox", "has ended", ended, vital=True) for ended in (True, False)
        ),
        *plant_faults(["outputs.fail 27: cannot be set"], ["the archive failed"]),
        *evidence_faults(["a picture cannot be kept; make room"]),
        *config_faults([], ["station"]),
        *recipe_faults([("top", "no recipe is chosen")], ["recipe 7 (cap): not a TFLite model"]),
        *model_faults(["redness@2 was sent back (fail: 9 of 9 parts); look at its verdicts"]),
        *local_faults("/run/edge-inspect/api.sock: is no socket; move it away"),
        *machine_faults(FAULTY_HOST),
        *machine_faults(HostState(power=PowerState(False, True, False, True))),
    ]


def test_docs_list_every_fault_and_its_severity() -> None:
    """docs/health.md has a row for each kind that the code knows, and no other."""
    rows = _ROW.findall((ROOT / "docs/health.md").read_text(encoding="utf-8"))
    assert {kind: severity.strip("*") for kind, severity in rows} == KINDS
    assert len(rows) == len(KINDS)


def test_every_kind_can_be_built() -> None:
    """Each kind can be built; its text is one line that starts with its part."""
    faults = every_fault()
    assert {fault.kind for fault in faults} == set(KINDS)
    for fault in faults:
        text = str(fault)
        assert text.startswith(f"{fault.part}: ")
        assert "\n" not in text


def test_faults_are_built_in_one_place() -> None:
    """No other module makes a Fault."""
    makers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edge").rglob("*.py")
        if re.search(r"\bFault\(", path.read_text(encoding="utf-8"))
    }
    assert makers == {"edge/monitoring/faults.py"}


def test_unknown_kind_cannot_be_built() -> None:
    """A kind that KINDS lacks is a programming error."""
    with pytest.raises(KeyError):
        Fault("unknown", "box", "a sentence")


@pytest.mark.parametrize("state", ["live", "finished"])
def test_camera_that_delivers_has_no_fault(state: str) -> None:
    """A live camera, and one that has delivered all its pictures, have no fault."""
    assert list(camera_faults([("top", state, "")])) == []


def test_host_without_values_has_no_fault() -> None:
    """A value that the box does not provide is no fault."""
    assert list(machine_faults(HostState())) == []


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (MemoryState(available_mb=63.0), "only 63 MB"),
        (MemoryState(used_mb=95.0, limit_mb=100.0), "95 % of the service's limit"),
        (MemoryState(pressure_percent=11.0), "11 % of the last minute"),
        (MemoryState(available_mb=64.0, used_mb=90.0, limit_mb=100.0, pressure_percent=10.0), ""),
    ],
)
def test_memory(memory: MemoryState, words: str) -> None:
    """Memory is low by what is free, by the service's limit, or by how long work waits for it."""
    found = [str(fault) for fault in machine_faults(HostState(memory=memory))]
    assert len(found) == bool(words)
    assert all(words in text for text in found)


def test_one_report_for_all(box: HealthyComponents) -> None:
    """Body, values and systemd's line have the same faults, `unhealthy` first."""
    box.publisher.state, box.publisher.why = "offline", "no broker answers"
    box.reader.state, box.reader.why = "lost", "cable"
    report = box.health.report()
    assert [fault.kind for fault in report.faults] == ["camera_lost", "broker"]
    assert report.body["faults"] == [str(fault) for fault in report.faults]
    assert report.body["healthy"] is False
    assert all(text in report.summary for text in report.body["faults"])


def test_many_faults_are_counted_in_the_line(box: HealthyComponents) -> None:
    """systemd's line shows three faults and the number of the others."""
    box.publisher.faults = lambda: ["one", "two", "three", "four", "five"]
    assert "broker: three; 2 more faults" in box.health.summary()


def test_open_parts_that_cannot_be_noted_are_a_fault(box: HealthyComponents) -> None:
    """A part journal that cannot be written is a fault."""
    box.part_journal.fault = "No space left on device"
    assert any(
        fault.startswith("open parts: cannot be noted (No space left on device)")
        for fault in box.health.report().body["faults"]
    )
