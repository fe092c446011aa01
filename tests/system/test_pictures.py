"""Pictures of verdicts and on request, from the running daemon."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.plant import BASE, Plant, draw_many
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker


def _shown(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _ask(plant: Plant, transaction: str, **fields: str) -> dict[str, Any]:
    """Requests a picture; returns the answer, checked against the schema."""
    body = json.dumps({"transaction": transaction, **fields}).encode()
    plant.publish(f"{BASE}/request/snapshot", body)

    def answers() -> list[dict[str, Any]]:
        said = plant.bodies("response/snapshot")
        return [one for one in said if one["transaction"] == transaction]

    wait_until(answers, f"an answer to {transaction}")
    (answer,) = answers()
    validator("response").validate(answer)
    return answer


def test_the_pictures_of_failed_parts(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """Of ten parts only the failed ones are sent, each under the id of its verdict and in its own
    colour. A picture of the archive is sent again on request."""
    draw_many(tmp_path / "parts", 10)
    daemon = make_daemon(
        f"replay:{tmp_path / 'parts'}",
        {"snapshots": {"send": ["fail"], "max_per_s": 100}},
        rate=2,
        sections={"archive": {"enabled": True, "path": str(tmp_path / "kept"), "keep": ["fail"]}},
    )
    daemon.start()
    results = plant.wait_for_results(10)
    failed = {body["id"]: body for body in results.values() if body["verdict"] == "fail"}
    assert 0 < len(failed) < 10
    wait_until(lambda: set(plant.pictures) >= set(failed), "the pictures of all that failed")
    assert set(plant.pictures) == set(failed)
    reds = []
    for body in sorted(failed.values(), key=lambda body: str(body["part"])):
        pixels = _shown(plant.pictures[body["id"]])
        assert pixels.shape == (24, 32, 3)
        reds.append(float(pixels[..., 2].mean()))
    assert reds == sorted(reds)
    name = next(iter(failed))
    before = plant.pictures.pop(name)
    answer = _ask(plant, "again", id=name)
    assert answer["status"] == "ok", answer
    assert answer["data"]["topic"] == f"{BASE}/snapshot/{name}"
    wait_until(lambda: name in plant.pictures, "the kept picture")
    assert _shown(plant.pictures[name]).shape == _shown(before).shape
    refused = _ask(plant, "none", id="0199a1b2-c3d4-7000-8000-000000000001")
    assert refused["status"] == "error"
    assert "is kept" in refused["error"]
    assert daemon.stop() == 0


def test_what_the_camera_sees_now(make_daemon: MakeDaemon, plant: Plant) -> None:
    """A request gets the camera's next picture, although config.yaml sends none."""
    daemon = make_daemon("test:", width=320, height=240, fps=10)
    daemon.start()
    plant.wait_for_state("online")
    answer = _ask(plant, "now", camera="top")
    assert answer["status"] == "ok", answer
    data = answer["data"]
    assert (data["width"], data["height"]) == (320, 240)
    wait_until(lambda: data["id"] in plant.pictures, "the picture")
    assert len(plant.pictures[data["id"]]) == data["bytes"]
    assert _shown(plant.pictures[data["id"]]).shape == (240, 320, 3)
    assert _ask(plant, "wrong", camera="bottom")["status"] == "error"
    health = plant.bodies("health")
    wait_until(lambda: plant.bodies("health")[len(health) :], "one more health")
    assert plant.bodies("health")[-1]["pictures"]["sent"] == 1
    assert list(plant.pictures) == [data["id"]]
    assert daemon.stop() == 0
