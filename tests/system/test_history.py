"""The history of the real daemon: complete with and without a broker, and never in the way."""

from pathlib import Path
from typing import Any

import pytest

from edge.storage import HistoryQuery, HistoryReader, history_path
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, Plant, draw_many
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon
from tests.system.test_reload import edit, reload

pytestmark = pytest.mark.broker


def remembered(daemon: Daemon) -> dict[int, dict[str, Any]]:
    """The bodies in the history, by number."""
    reader = HistoryReader(history_path(daemon.outbox))
    return {row.body["seq"]: row.body for row in reader.verdicts(HistoryQuery())}


def faults(plant: Plant) -> str:
    """All sentences that `health` has had."""
    return "\n".join(fault for body in plant.bodies("health") for fault in body["faults"])


@pytest.mark.parametrize("durability", ["strict", "balanced"])
def test_remembers_what_was_sent(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, durability: str
) -> None:
    """After a stop the history has each verdict as it was sent, without `replayed`."""
    draw_many(tmp_path / "parts", 60)
    sections = {"outbox": {"path": str(tmp_path / "state" / "outbox.db"), "durability": durability}}
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=60, sections=sections)
    daemon.start()
    plant.wait_for_results(60)
    assert daemon.stop() == 0
    sent = {body["seq"]: body for body in plant.bodies("result")}
    for body in sent.values():
        del body["replayed"]
    assert remembered(daemon) == sent


def test_remembers_while_the_broker_is_away(
    make_daemon: MakeDaemon, broker: Mosquitto, tmp_path: Path
) -> None:
    """Verdicts that wait in the outbox are in the history as well; a kill costs at most the last
    seconds of it."""
    draw_many(tmp_path / "parts", 200)
    broker.kill()
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=10)
    daemon.start()
    wait_until(lambda: len(remembered(daemon)) > 20, "the first commit", poll_s=0.5)
    daemon.kill()
    found = remembered(daemon)
    assert sorted(found) == list(range(1, len(found) + 1))
    assert daemon.waiting() >= len(found)


@pytest.mark.parametrize(
    "case",
    [
        ("strict", "as it was"),
        ("balanced", "as it was"),
        ("strict", "damaged"),
        ("balanced", "deleted"),
    ],
)
def test_remembers_what_a_killed_run_left_to_the_outbox(
    make_daemon: MakeDaemon,
    plant: Plant,
    broker: Mosquitto,
    tmp_path: Path,
    case: tuple[str, str],
) -> None:
    """A run without a broker is killed; the next one sends its verdicts, and all are in the
    history, each once."""
    durability, history_file = case
    draw_many(tmp_path / "parts", 100)
    broker.kill()
    sections = {"outbox": {"path": str(tmp_path / "state" / "outbox.db"), "durability": durability}}
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=10, sections=sections)
    daemon.start()
    wait_until(lambda: len(remembered(daemon)) > 20, "the first commit", poll_s=0.5)
    wait_until(lambda: daemon.waiting() > len(remembered(daemon)) + 10, "more verdicts", poll_s=0.2)
    daemon.kill()
    history, waiting = history_path(daemon.outbox), daemon.waiting()
    assert len(remembered(daemon)) < waiting
    if history_file == "damaged":
        history.write_bytes(bytes(16) + history.read_bytes()[16:])
    elif history_file == "deleted":
        for file in history.parent.glob("history.db*"):
            file.unlink()
    broker.start()
    daemon.start()
    sent = plant.wait_for_results(waiting + 10)
    assert daemon.stop() == 0
    rows = list(HistoryReader(history).verdicts(HistoryQuery()))
    ids = [row.body["id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert {body["id"] for body in sent.values()} <= set(ids)
    assert [row.seq for row in rows] == [row.body["seq"] for row in rows]


def test_a_wrong_file_costs_no_verdict(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """A file of another program stays, verdicts go on, and health names it."""
    draw_many(tmp_path / "parts", 100)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=10)
    history = history_path(daemon.outbox)
    history.parent.mkdir(exist_ok=True)
    history.write_text("notes of the shift")
    daemon.start()
    plant.wait_for_results(20)
    wait_until(lambda: "is no history of edge-inspect" in faults(plant), "a fault in health")
    assert daemon.stop() == 0
    assert history.read_text() == "notes of the shift"


def test_a_damaged_file_costs_no_verdict(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """It is set aside and saved from, verdicts go on, and health names it."""
    draw_many(tmp_path / "parts", 100)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=10)
    daemon.start()
    plant.wait_for_results(40)
    assert daemon.stop() == 0
    before = remembered(daemon)
    history = history_path(daemon.outbox)
    history.write_bytes(bytes(16) + history.read_bytes()[16:])
    daemon.start()
    plant.wait_for_results(len(before) + 20)
    saved = f"{len(before)} verdicts saved so far"
    wait_until(lambda: saved in faults(plant), "all saved")
    assert daemon.stop() == 0
    after = remembered(daemon)
    assert {number: after[number] for number in before} == before
    assert sorted(after) == list(range(1, len(after) + 1))


def test_a_reload_changes_the_budget(make_daemon: MakeDaemon, plant: Plant, tmp_path: Path) -> None:
    """`history.max_mb: 0` stops it without a restart, and no verdict is missing."""
    draw_many(tmp_path / "parts", 100)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=10)
    daemon.start()
    plant.wait_for_results(10)
    edit(daemon, history={"max_mb": 0})
    assert reload(plant, "a")["data"]["changed"] == ["history"]
    done = daemon.last_seq()
    plant.wait_for_results(done + 20)
    assert daemon.stop() == 0
    assert max(remembered(daemon), default=0) <= done + 1
