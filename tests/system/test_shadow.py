"""A candidate judges along in a running daemon: nothing of it is published, and it ends when it
becomes the active version."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.model_versions import install_with_shadow
from tests.support.models_command import ModelsCommand
from tests.support.plant import Plant, draw_many
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = [pytest.mark.broker, pytest.mark.inference]


def test_shadow(make_daemon: MakeDaemon, plant: Plant, tmp_path: Path) -> None:
    """It goes on after a restart, by the local socket's commands it ends and begins again."""
    draw_many(tmp_path / "parts", 100)
    versions = install_with_shadow(tmp_path, reject_at=0.95, review_from=0.7)
    daemon = make_daemon(
        f"replay:{tmp_path / 'parts'}",
        rate=30,
        loop=1000,
        sections={"model": {"path": "redness"}, "models": {"path": str(versions)}},
    )
    models = ModelsCommand(daemon)

    def shadow() -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(models.run("list", "--json"))["shadow"]
        return found

    daemon.start()
    plant.wait_for_results(10)
    wait_until(lambda: (shadow() or {"judged": 0})["judged"] > 100, "a hundred parts")
    found = shadow()
    assert found is not None
    flips = [(one["active"], one["candidate"]) for one in found["flips"]]
    assert flips[0][1] == "pass"
    assert ("fail", "review") in flips
    assert found["agreement"]["low"] < found["agreement"]["share"] < found["agreement"]["high"]
    out = models.run("shadow", "--stop")
    assert "of the verdicts are the same (95 % interval " in out
    assert "redness@2 no longer judges along" in out
    assert "no version judges along" in models.run("shadow", "--stop", code=1)
    assert "redness@2" in models.run("shadow", "redness@2")
    assert daemon.stop() == 0
    before = daemon.last_seq()
    daemon.start()
    plant.wait_for_results(before + 5)
    wait_until(lambda: (shadow() or {"judged": 0})["judged"] > 10, "parts after the restart")
    results = plant.wait_for_results(daemon.last_seq())
    assert {one["model"]["version"] for one in results.values()} == {"1"}
    assert {one["verdict"] for one in results.values()} == {"pass", "review", "fail"}
    models.run("activate", "redness@2")
    assert shadow() is None
    assert not (versions / "shadow.json").exists()
    assert daemon.stop() == 0
    stored = daemon.last_seq()
    assert sorted(plant.wait_for_results(stored)) == list(range(1, stored + 1))


def test_it_needs_a_daemon(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """Without one there are no live parts."""
    versions = install_with_shadow(tmp_path)
    sections = {"model": {"path": "redness"}, "models": {"path": str(versions)}}
    models = ModelsCommand(make_daemon("test:", width=64, height=48, sections=sections))
    assert "no daemon runs, and a version judges along only" in models.run(
        "shadow", "redness@2", code=1
    )
