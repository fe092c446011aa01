"""`kill -9` of the daemon and of the broker at any moment: no stored verdict is lost."""

from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.plant import Plant, draw, draw_many
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon, MakePlant

pytestmark = pytest.mark.broker


def test_kill_of_the_daemon_in_mid_replay(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """After three kills in the middle every stored verdict arrives, copies are equal, and the
    numbers have no gap."""
    draw_many(tmp_path / "parts", 400)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=400)
    last = 0
    for _ in range(3):
        daemon.start()
        goal = last + 40
        daemon.wait_for_stored(goal)
        daemon.kill()
        last = daemon.last_seq()
    daemon.start()
    daemon.wait_for_stored(last + 20)
    assert daemon.stop() == 0
    stored = daemon.last_seq()
    assert sorted(plant.wait_for_results(stored)) == list(range(1, stored + 1))
    assert daemon.waiting() == 0


def test_verdicts_stored_in_an_outage_survive_kills(
    make_daemon: MakeDaemon, make_plant: MakePlant, broker: Mosquitto, tmp_path: Path
) -> None:
    """Verdicts that are stored without a broker survive a kill, and arrive later as `replayed`."""
    draw_many(tmp_path / "parts", 300)
    broker.kill()
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=300)
    for goal in (50, 120):
        daemon.start()
        daemon.wait_for_stored(goal)
        daemon.kill()
    stored = daemon.last_seq()
    assert daemon.waiting() == stored
    broker.start()
    plant = make_plant()
    daemon.start()
    old = set(range(1, stored + 1))  # before those that this run stores
    wait_until(lambda: old <= {body["seq"] for body in plant.bodies("result")}, "the backlog")
    assert old <= set(plant.results())
    assert daemon.stop() == 0


def test_kill_of_the_broker_in_mid_run(
    make_daemon: MakeDaemon, plant: Plant, broker: Mosquitto, tmp_path: Path
) -> None:
    """The broker is killed twice and started again. Every verdict arrives, except those that it
    acknowledged in the moment of its death and had not written to disk."""
    draw_many(tmp_path / "parts", 50)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=50, loop=1000)
    daemon.start()
    goal, near = 40, set[int]()
    for _ in range(2):
        plant.wait_for_results(goal)
        wait_until(lambda: daemon.waiting() <= 2, "the backlog to be sent")
        broker.kill()
        before = daemon.last_seq()
        near |= set(range(before - 5, before + 2))
        daemon.wait_for_stored(before + 10)
        broker.start()
        goal = daemon.last_seq() + 40
    plant.wait_for_results(goal)
    assert daemon.stop() == 0
    assert daemon.waiting() == 0
    stored = daemon.last_seq()
    must = set(range(1, stored + 1)) - near
    wait_until(lambda: must <= {b["seq"] for b in plant.bodies("result")}, "every other verdict")
    assert set(plant.results()) <= must | near


def test_dropped_files_are_judged_once_across_kills(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """Files that are dropped while the daemon runs, while it is killed and while it is down are
    each judged exactly once. The receipt of a file is stored with its verdict."""
    folder = tmp_path / "drop"
    names = [draw(folder / f"before{n}.png", n * 20).name for n in range(8)]
    daemon = make_daemon(f"folder:{folder}")
    for life in range(3):
        daemon.start()
        names += [draw(folder / f"during{life}-{n}.png", n * 20).name for n in range(8)]
        goal = len(names) - 4
        daemon.wait_for_stored(goal)
        daemon.kill()
        names += [draw(folder / f"away{life}-{n}.png", n * 20).name for n in range(4)]
    daemon.start()
    results = plant.wait_for_results(len(names))
    names.append(draw(folder / "last.png", 200).name)
    results = plant.wait_for_results(len(names))
    assert daemon.stop() == 0
    assert sorted(str(r["part"]) for r in results.values()) == sorted(names)
    assert sorted(results) == list(range(1, len(names) + 1))


def test_a_file_that_changes_is_a_new_part(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """A new picture under an old name is judged again: the camera wrote another part."""
    folder = tmp_path / "drop"
    draw(folder / "part.png", 0)
    daemon = make_daemon(f"folder:{folder}")
    daemon.start()
    plant.wait_for_results(1)
    draw(folder / "part.png", 255)
    results = plant.wait_for_results(2)
    assert daemon.stop() == 0
    assert [results[n]["verdict"] for n in (1, 2)] == ["pass", "fail"]
