"""Sends the same JPEGs through every path that reads pictures, and compares the verdicts.

Paths of the box: `predict`, `replay:`, `folder:`, POST /predict, an `http:` camera and a `v4l2:`
camera that sends MJPEG. Paths of a workstation, which only accept or refuse: the audit and the
training of edge-train, and edge-convert.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera
from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.capture.drivers.v4l2 import V4L2Camera
from edge.core.clock import StopEvent
from edge.core.errors import DatasetError, PictureError
from edge.core.image import read_picture
from edge.core.view import ViewConfig
from edge.inspection import InputSpec, Inspector, load_inspector
from edge.inspection.view_crop import ViewCrop
from edge_bench.camera_server import CameraServer
from tests.edge.capture.conftest import FakeCapture, camera_config
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, Plant
from tests.support.waiting import wait_until
from trainer.audit.features import CheapFeatures
from trainer.audit.scan import AuditItem, UnreadablePicture, scan_picture
from trainer.data.dataset import Sample
from trainer.data.pictures import load_pictures

_RATE = 200.0  # pictures a second; a driver passes over none of them
_DEADLINE_S = 300.0
_READ = "read"  # by a path without a model


def disagreements(pictures: Sequence[bytes], model: Path) -> int:
    """Prints a line for each path. Returns the number of pictures on which paths differ."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "pictures"
        folder.mkdir()
        files = [folder / f"{number:04}.jpg" for number in range(len(pictures))]
        for file, data in zip(files, pictures, strict=True):
            file.write_bytes(data)
        inspector = load_inspector(model)
        verdicts: dict[str, list[str]] = {
            "predict": by_predict(root, files, model),
            **by_daemon(root, files, model),
            "http: camera": by_driver(pictures, inspector, http_camera),
            "v4l2: camera": by_driver(pictures, inspector, v4l2_camera),
            "edge-train audit": [by_audit(file) for file in files],
            "edge-train": [by_training(file, inspector.input) for file in files],
            "edge-convert": [by_reading(file) for file in files],
        }
    expected = verdicts["predict"]
    differ: set[int] = set()
    print()
    for path, found in verdicts.items():
        print(f"{path:18} {dict(sorted(Counter(found).items()))}", flush=True)
        differ |= {
            number
            for number, (one, other) in enumerate(zip(expected, found, strict=True))
            if one != (other if other != _READ or one == "error" else one)
        }
    for number in sorted(differ):
        print(f"{number:04}: " + ", ".join(f"{path} {v[number]}" for path, v in verdicts.items()))
    print(f"{len(pictures)} pictures, {len(verdicts)} paths: {len(differ)} disagreements")
    return len(differ)


def by_predict(root: Path, files: Sequence[Path], model: Path) -> list[str]:
    """`edge-inspect predict` in one call."""
    config = root / "predict.yaml"
    config.write_text(json.dumps(_values(model, {"id": "top", "source": "test:"}, 1883)))
    command = [sys.executable, "-m", "edge", "predict", "-c", str(config), *map(str, files)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return [json.loads(line)["verdict"] for line in done.stdout.splitlines()]


def by_daemon(root: Path, files: Sequence[Path], model: Path) -> dict[str, list[str]]:
    """A daemon that replays the folder, takes its files, and answers POST /predict."""
    broker = Mosquitto(root / "broker")
    broker.start()
    found: dict[str, list[str]] = {}
    for source in ("replay", "folder"):
        home = root / source
        home.mkdir()
        web = free_port()
        camera = {"id": "top", "source": f"{source}:{files[0].parent}"}
        values = _values(model, camera, broker.port) | {"web": {"enabled": True, "port": web}}
        daemon, plant = Daemon(home, values), Plant(broker.port)
        before = len(plant.bodies("result"))
        try:
            daemon.start()
            _wait_for_results(plant, before + len(files))
            bodies = plant.bodies("result")[before:]
            by_part = {body["part"]: body["verdict"] for body in bodies}
            found[f"{source}:"] = [by_part[file.name] for file in files]
            if source == "replay":
                found["POST /predict"] = [by_post(web, file) for file in files]
        finally:
            daemon.close()
            plant.close()
    broker.close()
    return found


def _wait_for_results(plant: Plant, count: int) -> None:
    wait_until(lambda: len(plant.bodies("result")) >= count, f"{count} verdicts", _DEADLINE_S)


def by_post(web: int, file: Path) -> str:
    """POST /predict; a refusal is `error`."""
    head = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{file.name}"\r\n\r\n'
    request = urllib.request.Request(
        f"http://127.0.0.1:{web}/predict",
        data=head.encode() + file.read_bytes() + b"\r\n--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["verdict"])
    except urllib.error.HTTPError as error:
        return "error" if error.code == 400 and json.load(error)["error"] else str(error.code)


def by_driver(
    pictures: Sequence[bytes],
    inspector: Inspector,
    opened: Callable[[Sequence[bytes]], contextlib.AbstractContextManager[DrivenCamera]],
) -> list[str]:
    """What the driver of a camera delivers, judged whole."""
    with opened(pictures) as camera:
        found = []
        for _ in pictures:
            assert camera.grab(StopEvent())
            found.append(_judged(camera.retrieve(None), inspector))
    return found


@contextlib.contextmanager
def http_camera(pictures: Sequence[bytes]) -> Iterator[DrivenCamera]:
    """A network camera that sends the pictures in order."""
    server = CameraServer(pictures, _RATE)
    camera = MJPEGCamera(camera_config(server.source))
    try:
        yield camera
    finally:
        camera.close()
        server.close()


@contextlib.contextmanager
def v4l2_camera(pictures: Sequence[bytes]) -> Iterator[DrivenCamera]:
    """A camera of the kernel that sends MJPEG."""
    device = FakeCapture([(True, np.frombuffer(data, np.uint8)) for data in pictures])
    device.formats = ["MJPG"]
    camera = V4L2Camera(camera_config("v4l2:/dev/null"), device)
    assert camera.gives_jpeg
    yield camera
    camera.close()


def by_audit(file: Path) -> str:
    """What the audit of edge-train reads."""
    scanned = scan_picture(AuditItem(file, file.name, "", "", None), CheapFeatures())
    return "error" if isinstance(scanned, UnreadablePicture) else _READ


def by_training(file: Path, spec: InputSpec) -> str:
    """What training reads."""
    try:
        load_pictures([Sample(file, file.name, "ok", file.name, "train")], spec)
    except DatasetError:
        return "error"
    return _READ


def by_reading(file: Path) -> str:
    """The function with which edge-convert reads its test pictures."""
    try:
        read_picture(file)
    except PictureError:
        return "error"
    return _READ


def _judged(read: CameraRead, inspector: Inspector) -> str:
    if read.pixels is None:
        assert read.fault
        return "error"
    crop = ViewCrop(inspector.input.view or ViewConfig())
    (region,) = crop.cut(read.pixels).values()
    return inspector.judge(inspector.prepare(region)).outcome


def _values(model: Path, camera: dict[str, str], port: int) -> dict[str, Any]:
    return {
        "station": "line1",
        "model": {"path": str(model.resolve())},
        "cameras": [camera],
        "mqtt": {"host": "127.0.0.1", "port": port},
    }
