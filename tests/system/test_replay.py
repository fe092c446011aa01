"""A whole run: every picture becomes one verdict at the plant."""

import itertools
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.plant import Plant, draw_many
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon, MakePlant


@pytest.mark.broker
def test_every_picture_gives_one_verdict(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """N pictures: exactly N results, valid, in order, ids unique, seq without gaps."""
    names = draw_many(tmp_path / "parts", 60)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start()
    plant.wait_for_results(60)
    assert daemon.stop() == 0
    bodies = plant.bodies("result")
    assert [b["part"] for b in bodies] == names
    assert [b["seq"] for b in bodies] == list(range(1, 61))
    assert len({b["id"] for b in bodies}) == 60
    assert len(plant.results()) == 60
    assert {b["verdict"] for b in bodies} == {"pass", "review", "fail"}
    scores = [b["score"] for b in bodies]
    assert scores == sorted(scores)
    times = [datetime.fromisoformat(b["captured_at"]) for b in bodies]
    assert all(a <= b for a, b in itertools.pairwise(times))
    assert daemon.waiting() == 0


@pytest.mark.broker
def test_what_the_box_says_of_itself(make_daemon: MakeDaemon, plant: Plant, tmp_path: Path) -> None:
    """status, info and health are valid, have one session, and are retained."""
    draw_many(tmp_path / "parts", 3)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start()
    wait_until(lambda: len(plant.bodies("health")) >= 2, "health twice")
    plant.wait_for_results(3)
    wait_until(lambda: plant.bodies("health")[-1]["outbox"]["acked"] == 3, "acks in health")
    assert daemon.stop() == 0
    plant.wait_for_state("online", "stopped")
    sessions = set()
    for name in ("status", "info", "health"):
        assert plant.bodies(name)
        for body in plant.bodies(name):
            validator(name).validate(body)
            sessions.add(body["session"])
    assert len(sessions) == 1
    health = plant.bodies("health")[-1]
    assert health["healthy"]
    assert health["cameras"]["top"]["frames"] == 3
    assert health["cameras"]["top"]["state"] == "finished"
    assert sum(health["verdicts"].values()) == 3
    assert set(health["latency_ms"]) == {"prepare", "inference", "capture_to_verdict", "decode"}


@pytest.mark.broker
def test_retained_topics_meet_a_late_listener(
    make_daemon: MakeDaemon, make_plant: MakePlant, plant: Plant, tmp_path: Path
) -> None:
    """A late subscriber gets status, info, health, alarm and models, and no old verdict."""
    draw_many(tmp_path / "parts", 2)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start()
    plant.wait_for_results(2)
    wait_until(lambda: plant.bodies("health"), "health")
    assert daemon.stop() == 0
    plant.close()
    late = make_plant()  # the same session: nothing waits in it, what is retained comes again
    wait_until(lambda: len(late.messages) >= 5, "the retained messages")
    assert {topic.rpartition("/")[2] for topic, _, _ in late.messages} == {
        "status",
        "info",
        "health",
        "alarm",
        "models",
    }
    assert late.bodies("status")[0]["state"] == "stopped"


@pytest.mark.broker
def test_a_broker_that_comes_later_gets_everything(
    make_daemon: MakeDaemon, make_plant: MakePlant, broker: Mosquitto, tmp_path: Path
) -> None:
    """Without a broker the daemon judges and stores; when a broker starts, all verdicts arrive."""
    draw_many(tmp_path / "parts", 30)
    broker.kill()
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start()
    daemon.wait_for_log("finished after 30 frames")
    daemon.wait_for_log("no broker answers at 127.0.0.1")
    assert "Traceback" not in daemon.log
    daemon.wait_for_waiting(30)
    broker.start()
    plant = make_plant()
    assert sorted(plant.wait_for_results(30)) == list(range(1, 31))
    assert daemon.stop() == 0
    assert daemon.waiting() == 0


@pytest.mark.broker
def test_two_cameras_share_one_outbox(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """The verdicts of each camera keep their order; their numbers have no gap over both cameras."""
    left = draw_many(tmp_path / "left", 20)
    right = draw_many(tmp_path / "right", 20)
    cameras = [{"id": side, "source": f"replay:{tmp_path / side}"} for side in ("left", "right")]
    daemon = make_daemon("test:", sections={"cameras": cameras})
    daemon.start()
    results = plant.wait_for_results(40)
    assert daemon.stop() == 0
    assert sorted(results) == list(range(1, 41))
    for side, names in (("left", left), ("right", right)):
        assert [b["part"] for b in plant.bodies("result") if b["camera"] == side] == names
