"""A new model version in a running daemon: a worse one goes back by itself, a good one stays."""

from pathlib import Path

import pytest

from tests.support.models_command import ModelsCommand
from tests.support.plant import Daemon, Plant, draw
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = [pytest.mark.broker, pytest.mark.inference]

PAST, PARTS = 300, 200


@pytest.fixture
def daemon(make_daemon: MakeDaemon, tmp_path: Path) -> Daemon:
    """redness@1 judges; nine in ten parts pass."""
    for number in range(50):
        draw(tmp_path / "parts" / f"{number:04}.png", 230 if number % 10 == 9 else 20 + number)
    made = make_daemon(
        f"replay:{tmp_path / 'parts'}",
        rate=50,
        loop=10_000,
        sections={
            "model": {"path": "redness"},
            "models": {"path": str(tmp_path / "versions"), "probation": {"parts": PARTS}},
        },
    )
    ModelsCommand(made).install("1")
    ModelsCommand(made).run("activate", "redness@1")
    return made


def test_a_worse_version_goes_back_and_a_good_one_stays(daemon: Daemon, plant: Plant) -> None:
    """Swapped thresholds: nearly every part fails. Event and health have the figures, no verdict is
    missing. The good one is killed in mid-probation, and the probation goes on."""
    models = ModelsCommand(daemon)
    daemon.start()
    plant.wait_for_results(PAST)
    models.install("bad", reject_at=0.01, review_from=0.005)
    models.run("activate", "redness@bad")
    found = models.wait_for_probation("bad", "returned")
    assert found.seen < PARTS
    wait_until(lambda: len(plant.bodies("event")) >= 2, "two events")
    there, back = plant.bodies("event")[-2:]
    validator("event").validate(back)
    assert (back["before"], back["after"]) == (there["after"], there["before"])
    assert back["by"] == f"probation: {found.reason}"
    sentence = f"models: redness@bad was sent back ({found.reason}); look at its verdicts"
    wait_until(
        lambda: any(one.startswith(sentence) for one in plant.bodies("health")[-1]["faults"]),
        "health says so",
    )
    assert "sent back: " in models.run("list")

    models.install("good", reject_at=0.65)
    models.run("activate", "redness@good")
    begun = models.wait_for_probation("good", "running")
    wait_until(lambda: (models.probation() or begun).seen > 0, "its counts are saved")
    daemon.kill()
    seen = (models.probation() or begun).seen
    assert 0 < seen < PARTS
    daemon.start()
    after = models.wait_for_probation("good", "passed")
    assert (after.at, after.past_parts) == (begun.at, begun.past_parts)
    last = daemon.last_seq()
    results = plant.wait_for_results(last + 5)
    assert sorted(results) == list(range(1, len(results) + 1))
    assert {results[seq]["model"]["version"] for seq in results if seq > last} == {"good"}
    limits = {"1": 0.6, "bad": 0.01, "good": 0.65}
    for body in results.values():
        assert body["thresholds"]["reject_at"] == limits[body["model"]["version"]]
