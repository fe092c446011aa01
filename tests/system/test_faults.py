"""A fault gives an error verdict, never a pass, and never ends the daemon."""

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.storage.outbox.records import OutboxChanges
from tests.support.mosquitto import Mosquitto
from tests.support.outbox_rows import rows_from
from tests.support.outbox_store import opened
from tests.support.plant import Plant, draw
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker


def spoil(folder: Path) -> list[str]:
    """Bad pictures between two good ones."""
    good = draw(folder / "a.png", 0).read_bytes()
    done, deep = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint16))
    assert done
    bad = {"b-empty.png": b"", "c-text.jpg": b"hello\n", "d-cut.png": good[: len(good) // 2]}
    for name, data in {**bad, "e-deep.png": deep.tobytes()}.items():
        (folder / name).write_bytes(data)
    draw(folder / "f.png", 255)
    return ["pass", "error", "error", "error", "error", "fail"]


@pytest.mark.parametrize("kind", ["replay", "folder"])
def test_a_bad_picture_is_an_error_and_life_goes_on(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, kind: str
) -> None:
    """Each bad picture gives one `error` verdict with its name; the good pictures after it are
    judged."""
    wanted = spoil(tmp_path / "parts")
    daemon = make_daemon(f"{kind}:{tmp_path / 'parts'}")
    daemon.start()
    results = plant.wait_for_results(6)
    assert daemon.stop() == 0
    by_part = sorted(results.values(), key=lambda body: str(body["part"]))
    assert [body["verdict"] for body in by_part] == wanted
    for body in by_part:
        if body["verdict"] == "error":
            assert body["part"] in body["reason"]
            assert body["score"] is None
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("source", ["v4l2:/dev/video99", "http://127.0.0.1:9/stream.mjpg"])
def test_an_absent_camera_never_passes(make_daemon: MakeDaemon, plant: Plant, source: str) -> None:
    """Without a camera the daemon runs, every verdict is an `error` with the reason, and health is
    not healthy."""
    daemon = make_daemon(source)
    daemon.start()
    results = plant.wait_for_results(2)
    wait_until(lambda: plant.bodies("health"), "health")
    assert daemon.stop() == 0
    assert {body["verdict"] for body in results.values()} == {"error"}
    assert all(
        "cannot be opened" in b["reason"] or "no such device" in b["reason"]
        for b in results.values()
    )
    health = plant.bodies("health")[-1]
    assert not health["healthy"]
    assert any(fault.startswith("camera top:") for fault in health["faults"])


def test_a_folder_that_goes_and_comes_back(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """A camera folder that is removed gives error verdicts; when it is back, its files are
    judged."""
    folder = tmp_path / "drop"
    draw(folder / "a.png", 0)
    daemon = make_daemon(f"folder:{folder}")
    daemon.start()
    plant.wait_for_results(1)
    shutil.rmtree(folder)
    wait_until(lambda: [b["verdict"] for b in plant.bodies("result")][-1] == "error", "an error")
    draw(folder / "b.png", 255)
    wait_until(lambda: [b["verdict"] for b in plant.bodies("result")][-1] == "fail", "b.png judged")
    assert daemon.stop() == 0
    assert [b["verdict"] for b in plant.results().values()].count("pass") == 1


def with_wrong_golden(model: Path, target: Path) -> Path:
    """A copy of the model file with golden pictures that have other scores."""
    content = model.read_bytes()
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        start = min(info.header_offset for info in archive.infolist())
    spec = json.loads(members["inspection.json"])
    for golden in spec["golden"]:
        golden["score"] = 1 - golden["score"]
    members["inspection.json"] = json.dumps(spec).encode()
    target.write_bytes(content[:start])
    with zipfile.ZipFile(target, "a") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def test_a_model_that_scores_otherwise_does_not_start(
    make_daemon: MakeDaemon, redness_model: Path, tmp_path: Path
) -> None:
    """A golden picture with another score on this box gives exit code 1 and one sentence."""
    wrong = with_wrong_golden(redness_model, tmp_path / "wrong.tflite")
    daemon = make_daemon("test:", sections={"model": {"path": str(wrong)}})
    daemon.start()
    assert daemon.exit_code() == 1
    assert "where the model was tested" in daemon.log
    assert "Traceback" not in daemon.log


def test_a_missing_model_does_not_start(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """A missing model file gives exit code 2 and one sentence with the path and what to do."""
    daemon = make_daemon("test:", sections={"model": {"path": str(tmp_path / "none.tflite")}})
    daemon.start()
    assert daemon.exit_code() == 2
    assert "none.tflite: the model file cannot be read" in daemon.log
    assert daemon.log.count("\n") == 1


def test_a_torn_outbox_is_set_aside(make_daemon: MakeDaemon, plant: Plant) -> None:
    """With a damaged outbox the box starts and delivers, keeps the damaged file and reports it."""
    daemon = make_daemon("test:")
    store = opened(daemon.outbox)
    store.apply(OutboxChanges(rows=rows_from(1, 1)))
    store.close()
    daemon.outbox.write_bytes(b"torn" * 1000)
    daemon.start()
    plant.wait_for_results(3)
    wait_until(
        lambda: any(body["outbox"]["damaged"] == 1 for body in plant.bodies("health")),
        "the damage in health",
    )
    assert daemon.stop() == 0
    (aside,) = daemon.outbox.parent.glob("outbox.db.damaged-*[Z0-9]")
    assert aside.read_bytes() == b"torn" * 1000
    assert f"set aside as {aside.name}" in daemon.log
    assert "Traceback" not in daemon.log


def test_a_taken_port_does_not_start(make_daemon: MakeDaemon, broker: Mosquitto) -> None:
    """An embedded broker on a taken port gives exit code 2 and one sentence with three
    solutions."""
    pytest.importorskip("amqtt", reason="amqtt is not installed; pip install '.[broker]'")
    daemon = make_daemon("test:", {"embedded": True})
    daemon.start()
    assert daemon.exit_code() == 2
    assert f"127.0.0.1:{broker.port} cannot be used by the embedded broker" in daemon.log
    assert "Traceback" not in daemon.log
