"""One model file and one picture give one score by every input."""

import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.mosquitto import free_port
from tests.support.plant import Daemon, Plant, draw_many
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

STEP = 1 / 255


def predicted(daemon: Daemon, pictures: list[Path]) -> dict[str, dict[str, Any]]:
    """The output of `edge-inspect predict`, by file name."""
    printed = subprocess.run(
        [sys.executable, "-m", "edge", "predict", *map(str, pictures), "-c", str(daemon.config)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    bodies = [json.loads(line) for line in printed.splitlines()]
    return {Path(body["part"]).name: body for body in bodies}


def posted(port: int, picture: Path) -> dict[str, Any]:
    """The answer of POST /predict."""
    head = f'Content-Disposition: form-data; name="image"; filename="{picture.name}"'
    frame = f"--x\r\n{head}\r\n\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "POST",
        "/predict",
        frame.encode() + picture.read_bytes() + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    response = connection.getresponse()
    body: dict[str, Any] = json.loads(response.read())
    assert response.status == 200, body
    connection.close()
    return body


def wait_for_http(port: int) -> None:
    """Waits until the port accepts connections."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "HTTP")


@pytest.mark.broker
def test_every_door_gives_the_same_score(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """predict, POST /predict, replay: and folder: agree within 1/255, and in the verdict."""
    pytest.importorskip("waitress", reason="no waitress; pip install '.[web]'")
    names = draw_many(tmp_path / "parts", 12)
    port = free_port()
    cameras = [
        {"id": kind, "source": f"{kind}:{tmp_path / 'parts'}"} for kind in ("replay", "folder")
    ]
    web = {"enabled": True, "port": port}
    daemon = make_daemon("test:", sections={"cameras": cameras, "web": web})
    command = predicted(daemon, [tmp_path / "parts" / name for name in names])
    daemon.start()
    wait_for_http(port)
    answers = {name: posted(port, tmp_path / "parts" / name) for name in names}
    results = plant.wait_for_results(24)
    assert daemon.stop() == 0
    valid = validator("result")
    for body in [*command.values(), *answers.values()]:
        valid.validate(body)
        assert body["seq"] == 0
    doors = [command, answers]
    for kind in ("replay", "folder"):
        doors.append({r["part"]: r for r in results.values() if r["camera"] == kind})
    for name in names:
        bodies = [door[name] for door in doors]
        scores = [body["score"] for body in bodies]
        assert max(scores) - min(scores) <= STEP
        assert len({body["verdict"] for body in bodies}) == 1
        assert len({body["model"]["sha256"] for body in bodies}) == 1


@pytest.mark.broker
def test_health_over_http(make_daemon: MakeDaemon, plant: Plant, tmp_path: Path) -> None:
    """/healthz is 200 without a fault, and 503 with the fault of a missing camera."""
    pytest.importorskip("waitress", reason="no waitress; pip install '.[web]'")
    draw_many(tmp_path / "parts", 2)
    statuses = []
    for source in (f"replay:{tmp_path / 'parts'}", "v4l2:/dev/video99"):
        port = free_port()
        daemon = make_daemon(source, sections={"web": {"enabled": True, "port": port}})
        stored = daemon.last_seq()
        daemon.start()
        daemon.wait_for_stored(stored + 1)
        wait_for_http(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        faults = json.loads(response.read())["faults"]  # this machine may have warnings of its own
        statuses.append((response.status, any(fault.startswith("camera") for fault in faults)))
        assert daemon.stop() == 0
    assert statuses == [(200, False), (503, True)]


def test_predict_needs_no_broker_and_no_outbox(tmp_path: Path, redness_model: Path) -> None:
    """predict works without a broker and without an outbox, and leaves no file."""
    names = draw_many(tmp_path / "parts", 3)
    daemon = Daemon(
        tmp_path,
        {
            "station": "line1",
            "model": {"path": str(redness_model)},
            "cameras": [{"id": "top", "source": "test:"}],
            "mqtt": {"port": free_port()},
        },
    )
    before = sorted(tmp_path.iterdir())
    bodies = predicted(daemon, [tmp_path / "parts" / name for name in names])
    assert [bodies[name]["verdict"] for name in names] == ["pass", "review", "fail"]
    assert sorted(tmp_path.iterdir()) == before
