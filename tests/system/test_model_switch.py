"""Model versions of a running daemon: switched between two verdicts, and put back."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from edge.core.errors import EXIT_NO
from tests.support.model_versions import write_version
from tests.support.models_command import ModelsCommand
from tests.support.plant import BASE, Daemon, Plant, draw_many
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = [pytest.mark.broker, pytest.mark.inference]


@pytest.fixture
def daemon(make_daemon: MakeDaemon, tmp_path: Path) -> Daemon:
    """A daemon with redness@1 active, not started."""
    draw_many(tmp_path / "parts", 100)
    made = make_daemon(
        f"replay:{tmp_path / 'parts'}",
        rate=50,
        loop=1000,
        sections={
            "model": {"path": "redness"},
            "models": {"path": str(tmp_path / "versions"), "probation": {"parts": 0}},
        },
        mqtt={"allow_requests": ["models"]},
    )
    ModelsCommand(made).install("1")
    assert "it judges when the daemon runs" in ModelsCommand(made).run("activate", "redness@1")
    return made


def test_a_switch_between_two_verdicts(daemon: Daemon, plant: Plant) -> None:
    """Each verdict is by one version with its thresholds; none is missing. `rollback` is the same
    switch, and a restart judges by what was asked last."""
    models = ModelsCommand(daemon)
    daemon.start()
    plant.wait_for_results(10)
    models.install("2", reject_at=0.9)
    assert "redness@2" in models.run("activate", "redness@2")
    plant.wait_for_results(daemon.last_seq() + 10)
    listing = json.loads(models.run("list", "--json"))
    assert plant.bodies("info")[-1]["model"]["sha256"] == listing["running"]
    assert plant.bodies("info")[-1]["model"]["signed_by"] is None
    models.run("rollback")
    plant.wait_for_results(daemon.last_seq() + 10)
    models.run("activate", "redness@2")
    assert daemon.stop() == 0
    before = daemon.last_seq()
    daemon.start()
    results = plant.wait_for_results(before + 5)
    assert sorted(results) == list(range(1, len(results) + 1))
    by_version = {"1": 0.6, "2": 0.9}
    for body in results.values():
        assert body["thresholds"]["reject_at"] == by_version[body["model"]["version"]]
    order = [results[seq]["model"]["version"] for seq in sorted(results)]
    turns = [old + new for old, new in pairwise(order) if old != new]
    assert turns == ["12", "21", "12"]
    assert {results[seq]["model"]["version"] for seq in results if seq > before} == {"2"}


def test_what_is_refused_leaves_the_old_version_judging(daemon: Daemon, plant: Plant) -> None:
    """A wrong golden picture, a version that is not installed, and a reload that is refused."""
    models = ModelsCommand(daemon)
    daemon.start()
    plant.wait_for_results(5)
    bad = write_version(daemon.folder / "bad.tflite", "3", golden_score=0.5)
    assert "where the model was tested" in models.run("install", str(bad), code=EXIT_NO)
    assert "no such version" in models.run("activate", "redness@3", code=EXIT_NO)
    models.install("2", reject_at=0.9)
    right = daemon.config.read_text(encoding="utf-8")
    daemon.config.write_text(right + "prot: 1\n", encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-c", _ACTIVATE, str(daemon.outbox.with_name("api.sock"))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "prot: unknown key" in process.stderr
    daemon.config.write_text(right, encoding="utf-8")
    listing = json.loads(models.run("list", "--json"))
    assert listing["names"][0]["record"]["active"] == listing["running"]
    results = plant.wait_for_results(daemon.last_seq() + 10)
    assert {body["model"]["version"] for body in results.values()} == {"1"}
    assert sorted(results) == list(range(1, len(results) + 1))


# The command itself would stop at the wrong config.yaml.
_ACTIVATE = """
import sys
from itertools import pairwise
from pathlib import Path
from edge.cli.models import ModelsClient
from edge.plant import SwitchRequest
ModelsClient(Path(sys.argv[1])).activate(SwitchRequest(version="redness@2", by="kim"))
"""


def test_a_bad_version_goes_back_by_itself(daemon: Daemon, plant: Plant) -> None:
    """By request, over MQTT, with the event and the fault; no verdict is missing."""
    models = ModelsCommand(daemon)
    text = daemon.config.read_text(encoding="utf-8")
    daemon.config.write_text(text.replace("parts: 0", "parts: 100"), encoding="utf-8")
    daemon.start()
    plant.wait_for_results(150)
    models.install("2", reject_at=0.01, review_from=0.005)
    plant.publish(
        f"{BASE}/request/models",
        json.dumps({"transaction": "t-1", "action": "activate", "version": "redness@2"}).encode(),
    )
    wait_until(lambda: plant.bodies("response/models"), "an answer")
    (answer,) = plant.bodies("response/models")
    validator("response").validate(answer)
    assert answer["data"]["after"]["version"] == "2"
    wait_until(lambda: len(plant.bodies("event")) == 2, "the version goes back")
    forth, back = plant.bodies("event")
    assert (forth["by"], forth["subject"]) == ("mqtt: t-1", "redness")
    assert back["by"].startswith("probation: ")
    assert back["after"].startswith("redness@1 (")
    wait_until(
        lambda: any(
            "redness@2 was sent back" in one for one in plant.bodies("health")[-1]["faults"]
        )
    )
    assert "sent back" in models.run("list")
    state = plant.bodies("models")[-1]
    validator("models").validate(state)
    results = plant.wait_for_results(daemon.last_seq() + 10)
    assert sorted(results) == list(range(1, len(results) + 1))
