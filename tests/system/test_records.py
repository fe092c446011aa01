"""A real daemon and broker: its records while it runs, after a kill, and when it is stopped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge.cli.records_client import RecordsClient
from tests.support.mosquitto import free_port
from tests.support.plant import Daemon, Plant, draw_many, faults
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PARTS = 40


def run(daemon: Daemon, *argv: str) -> tuple[int, str, str]:
    """A command with the daemon's config.yaml: exit code, stdout, stderr."""
    command = [sys.executable, "-m", "edge", argv[0], "-c", str(daemon.config), *argv[1:]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def daemon(make_daemon: MakeDaemon, tmp_path: Path) -> Daemon:
    """A box that keeps every picture; its parts are read again after a restart."""
    draw_many(tmp_path / "parts", PARTS)
    archive = {
        "enabled": True,
        "path": str(tmp_path / "kept"),
        "keep": ["pass", "review", "fail"],
        "pass_sample": 0.5,
    }
    web = {"enabled": True, "port": free_port()}
    return make_daemon(
        f"replay:{tmp_path / 'parts'}", rate=20, loop=100, sections={"archive": archive, "web": web}
    )


def remembered(daemon: Daemon, count: int) -> RecordsClient:
    """The client, once the history has this number of verdicts."""
    client = RecordsClient(daemon.outbox.with_name("api.sock"))

    def enough() -> bool:
        code, out, _ = run(daemon, "history", "--limit", str(count), "--json")
        return code == 0 and len(out.splitlines()) == count

    wait_until(enough, f"{count} verdicts are remembered", poll_s=0.5)
    return client


def test_a_running_and_a_stopped_box_answer_alike(daemon: Daemon, plant: Plant) -> None:
    """Every verdict of the plant is remembered with the same body. What was labelled through the
    daemon counts when it is stopped, and the other way round."""
    daemon.start()
    plant.wait_for_results(PARTS)
    client = remembered(daemon, PARTS)
    assert client.serves(daemon.outbox)
    bodies = [json.loads(line) for line in run(daemon, "history", "--json")[1].splitlines()]
    sent = plant.results()
    for body in bodies:
        assert body.pop("truth") is None
        assert sent[body["seq"]] == body
    fails = [body["id"] for body in bodies if body["verdict"] == "fail"][:2]
    passes = [body["id"] for body in bodies if body["verdict"] == "pass"]
    assert run(daemon, "label", *fails, "ok", "--by", "kim")[0] == 0
    assert run(daemon, "label", *passes, "ok")[0] == 0
    code, shown, _ = run(daemon, "show", fails[0][:18])
    assert code == 0
    assert "labelled ok by kim, " in shown
    assert "kept       because of: verdict" in shown
    found = json.loads(run(daemon, "estimate", "--json")[1])
    assert found["failed_good"] == 2
    assert found["passes"] >= len(passes)

    assert daemon.stop() == 0
    assert not daemon.outbox.with_name("api.sock").exists()
    lines = run(daemon, "history", "--truth", "ok", "--verdict", "fail", "--json")[1].splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(fails)
    assert run(daemon, "label", "--undo", fails[0])[0] == 0
    assert run(daemon, "show", fails[0], "-o", str(daemon.folder / "seen.png"))[0] == 0
    assert (daemon.folder / "seen.png").exists()

    daemon.start()
    wait_until(lambda: client.serves(daemon.outbox), "the daemon answers again", poll_s=0.2)
    assert client.show(fails[0]).truth is None
    assert client.show(fails[1]).truth == "ok"


def test_a_killed_daemon_leaves_a_socket_that_the_next_one_replaces(
    daemon: Daemon, plant: Plant
) -> None:
    """Meanwhile the commands read the files."""
    daemon.start()
    plant.wait_for_results(PARTS)
    client = remembered(daemon, PARTS)
    daemon.kill()
    assert client.path.is_socket()
    assert not client.serves(daemon.outbox)
    assert len(run(daemon, "history", "--json")[1].splitlines()) >= PARTS
    daemon.start()
    wait_until(lambda: client.serves(daemon.outbox), "the daemon answers", poll_s=0.2)
    assert "local socket" not in daemon.log


def test_a_foreign_file_in_place_of_the_socket(daemon: Daemon, plant: Plant) -> None:
    """Verdicts go on, health and the log name the fault, the commands read the files."""
    place = daemon.outbox.with_name("api.sock")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    daemon.start()
    plant.wait_for_results(PARTS)
    sentence = f"local socket: {place}: is no socket of edge-inspect and stays as it is"
    assert sentence in daemon.log
    port = yaml.safe_load(daemon.config.read_text())["web"]["port"]
    wait_until(lambda: any(sentence in fault for fault in faults(port)), "the fault in health")
    assert place.read_text() == "mine"
    wait_until(lambda: run(daemon, "history", "--json")[1], "the files answer", poll_s=0.5)
    assert daemon.stop() == 0
    assert place.read_text() == "mine"
