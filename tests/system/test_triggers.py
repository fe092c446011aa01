"""Triggered parts, end to end: a real broker, a real daemon, one verdict a part."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.plant import BASE, Plant
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker
TRIGGER = {"kind": "request", "deadline_ms": 30_000, "queue": 50}


def ask(plant: Plant, body: object) -> None:
    """Sends a request as a PLC gateway does."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    plant.publish(f"{BASE}/request/trigger", raw)


def answers(plant: Plant, count: int) -> list[dict[str, Any]]:
    """Waits for `count` answers; each is valid."""
    wait_until(lambda: len(plant.bodies("response/trigger")) >= count, f"{count} answers")
    found = plant.bodies("response/trigger")
    for body in found:
        validator("response").validate(body)
    return found


def test_each_triggered_part_gets_one_verdict(make_daemon: MakeDaemon, plant: Plant) -> None:
    """Every request is answered and gets one verdict with its part and transaction. A repeated
    request is one part; without a trigger there is no verdict."""
    daemon = make_daemon("test:", fps=50, width=64, height=48, trigger=TRIGGER)
    daemon.start()
    plant.wait_for_state("online")
    wait_until(
        lambda: any(h["cameras"]["top"]["frames"] > 5 for h in plant.bodies("health")), "frames"
    )
    for number in range(30):
        ask(plant, {"transaction": f"t-{number}", "camera": "top", "part": f"P-{number}"})
    ask(plant, {"transaction": "t-29", "camera": "top", "part": "P-29"})
    said = answers(plant, 31)
    assert {body["status"] for body in said} == {"ok"}
    assert [body["data"]["duplicate"] for body in said].count(True) == 1
    results = plant.wait_for_results(30)
    assert daemon.stop() == 0
    plant.wait_for_state("online", "stopped")
    results = plant.results()
    assert Counter(r["part"] for r in results.values()) == {f"P-{n}": 1 for n in range(30)}
    for result in results.values():
        trigger = result["trigger"]
        assert trigger["transaction"] == result["part"].replace("P", "t")
        assert result["captured_at"] >= trigger["at"]
        assert result["verdict"] != "error"
    validator("alarm").validate(plant.bodies("alarm")[-1])


@pytest.mark.parametrize("retain", [False, True])
def test_whatever_is_asked_is_answered(make_daemon: MakeDaemon, plant: Plant, retain: bool) -> None:
    """Malformed requests get an answer with status `error`, and the daemon goes on."""
    daemon = make_daemon("test:", fps=50, width=64, height=48, trigger=TRIGGER)
    daemon.start()
    plant.wait_for_state("online")
    bad: list[object] = [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{" * 5000,
        b"x" * 20_000,
        {},
        {"transaction": ""},
        {"transaction": 7},
        {"transaction": "x" * 200},
        {"transaction": "1", "camera": "nobody"},
        {"transaction": "1", "camera": 5},
        {"transaction": "1", "part": ["P"]},
        {"transaction": "1", "part": ""},
        {"transaction": "1", "surplus": 1},
    ]
    if retain:
        plant.publish(f"{BASE}/request/trigger", b'{"transaction": "r"}', retain=True)
        daemon.stop()
        daemon.start()
        wait_until(lambda: plant.bodies("response/trigger")[-1:] != [], "an answer")
        wait_until(
            lambda: any("retain" in str(b["error"]) for b in plant.bodies("response/trigger")),
            "a refusal of what was retained",
        )
        plant.publish(f"{BASE}/request/trigger", b"", retain=True)
        return
    for body in bad:
        ask(plant, body)
    said = answers(plant, len(bad))
    assert {body["status"] for body in said} == {"error"}
    assert all(body["error"] for body in said)
    ask(plant, {"transaction": "good", "part": "P"})
    (result,) = plant.wait_for_results(1).values()
    assert (result["part"], result["camera"]) == ("P", "top")


def test_a_stop_answers_every_open_part(make_daemon: MakeDaemon, plant: Plant) -> None:
    """Parts that are open at SIGTERM get an `error` before `stopped`."""
    trigger = {"kind": "request", "deadline_ms": 600_000, "delay_ms": 500_000, "queue": 20}
    daemon = make_daemon("test:", fps=20, width=64, height=48, trigger=trigger)
    daemon.start()
    plant.wait_for_state("online")
    for number in range(10):
        ask(plant, {"transaction": f"{number}", "part": f"P-{number}"})
    answers(plant, 10)
    assert plant.results() == {}
    assert daemon.stop() == 0
    plant.wait_for_state("online", "stopped")
    results = plant.results().values()
    assert sorted(r["part"] for r in results) == [f"P-{n}" for n in range(10)]
    assert {(r["verdict"], r["reason"]) for r in results} == {("error", "the daemon was stopped")}


def test_parts_open_at_kill_get_an_error_at_the_next_start(
    make_daemon: MakeDaemon, plant: Plant
) -> None:
    """After `kill -9` each open part that was answered gets exactly one verdict, also when the
    daemon is killed again right after its start. Judged parts get no second verdict."""
    quick = {"kind": "request", "deadline_ms": 30_000, "queue": 50}
    slow = {**quick, "deadline_ms": 600_000, "delay_ms": 500_000}
    cameras = [
        {"id": name, "source": "test:", "fps": 20, "width": 64, "height": 48, "trigger": trigger}
        for name, trigger in (("quick", quick), ("slow", slow))
    ]
    daemon = make_daemon("test:", sections={"cameras": cameras})
    daemon.start()
    plant.wait_for_state("online")
    for number in range(10):
        ask(plant, {"transaction": f"q{number}", "camera": "quick", "part": f"Q-{number}"})
        ask(plant, {"transaction": f"s{number}", "camera": "slow", "part": f"S-{number}"})
    answers(plant, 20)
    plant.wait_for_results(10)
    for _ in range(3):
        daemon.kill()
        plant.wait_for_state("online", "offline")
        daemon.start()
        plant.wait_for_state("offline", "online")
    plant.wait_for_results(20)
    assert daemon.stop() == 0
    results = plant.results()
    assert Counter(r["part"] for r in results.values()) == {
        f"{kind}-{n}": 1 for kind in "QS" for n in range(10)
    }
    for result in results.values():
        if result["camera"] == "slow":
            assert (result["verdict"], result["reason"]) == (
                "error",
                "the daemon was restarted before it was judged",
            )
            assert result["trigger"]["transaction"] == result["part"].replace("S-", "s")
    assert not daemon.outbox.with_name("outbox.db.parts").exists()


def test_a_view_outside_the_frame_is_a_fault_of_the_camera(
    make_daemon: MakeDaemon, plant: Plant
) -> None:
    """A view outside the frame gives the camera state `unfit` and an `error` with the sentence,
    never a smaller region."""
    daemon = make_daemon("test:", fps=20, view={"region": [0, 0, 641, 480]})
    daemon.start()
    (first, *_) = plant.wait_for_results(1).values()
    assert first["verdict"] == "error"
    assert "view.region reaches to 641,480, outside the picture of 640×480" in first["reason"]
    wait_until(lambda: bool(plant.bodies("health")), "health")
    health = plant.bodies("health")[-1]
    validator("health").validate(health)
    assert health["cameras"]["top"]["state"] == "unfit"
    assert not health["healthy"]


def test_a_view_outside_the_size_that_is_asked_for_is_a_mistake(make_daemon: MakeDaemon) -> None:
    """When config.yaml states the size, the daemon does not start: exit code 2 and one sentence."""
    daemon = make_daemon("test:", width=64, height=48, view={"region": [0, 0, 65, 48]})
    daemon.start()
    assert daemon.exit_code() == 2
    assert "camera top: view.region reaches to 65,48, outside the picture of 64×48" in daemon.log
    assert "Traceback" not in daemon.log


def test_a_row_of_fails_raises_the_alarm(make_daemon: MakeDaemon, plant: Plant) -> None:
    """A number of fails in a row is published on the retained topic `alarm`."""
    sections = {"decision": {"reject_at": 0.0, "review_from": 0.0, "alarm": {"fails": 3}}}
    daemon = make_daemon("test:", fps=20, width=64, height=48, sections=sections)
    daemon.start()
    wait_until(
        lambda: [b["state"] for b in plant.bodies("alarm")][:2] == ["clear", "raised"], "an alarm"
    )
    raised = plant.bodies("alarm")[1]
    validator("alarm").validate(raised)
    assert (raised["count"], raised["causes"][0]["verdict"]) == (3, "fail")


def test_the_benchmark_keeps_every_promise() -> None:
    """A hundred parts in bursts, with a camera that fails at random, in real time: one verdict a
    part, and a missed deadline is an `error` (tests/campaigns/triggered_parts.py)."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.triggered_parts", "--count", "100", "--seed", "3"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all promises hold" in done.stdout
