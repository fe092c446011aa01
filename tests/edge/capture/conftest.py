"""Cameras of every kind, good and bad: scripted ones, and an MJPEG server on this machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.capture.camera import Look
from edge.config import CameraConfig
from edge.environment import Stop
from tests.edge.conftest import solid

Step = NDArray[np.uint8] | Look | BaseException | None


class ScriptedCamera:
    """A camera that does what its script says: a picture, a fault, a raise, the end."""

    def __init__(self, steps: list[Step], live: bool = True) -> None:
        self.live = live
        self.closed = 0
        self.steps = steps

    def read(self, stop: Stop) -> Look | None:
        """The next step."""
        if stop.is_set() or self.closed or not self.steps:
            return None
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, Look) or step is None else Look(step)

    def close(self) -> None:
        """Counts."""
        self.closed += 1


class FakeCapture:
    """cv2.VideoCapture as bad devices have it: True without a picture, closed in mid-stream."""

    def __init__(self, answers: list[tuple[bool, Any]], opened: bool = True) -> None:
        self.answers, self.opened = answers, opened
        self.released = 0
        self.settings: dict[int, float] = {}
        self.arguments: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any) -> "FakeCapture":
        """Opens, as cv2.VideoCapture(...) does."""
        self.arguments = arguments
        return self

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Whether there is a device."""
        return self.opened and not self.released

    def read(self) -> tuple[bool, Any]:
        """The next answer; OpenCV gives (False, None) for ever once a device is gone."""
        if self.released or not self.answers:
            return False, None
        return self.answers.pop(0)

    def set(self, prop: int, value: float) -> bool:
        """Remembers a setting."""
        self.settings[prop] = value
        return True

    def release(self) -> None:
        """Counts."""
        self.released += 1


def noise(seed: int, side: int = 32) -> NDArray[np.uint8]:
    """A picture of a sensor's noise: no two are the same."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def camera_config(source: str, **options: Any) -> CameraConfig:
    """A camera's section of config.yaml."""
    return CameraConfig.model_validate({"id": "top", "source": source, **options})


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video file of five frames whose red rises."""
    path = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for red in range(0, 250, 50):
        writer.write(cv2.resize(solid(red), (64, 48)))
    writer.release()
    return path


class _MJPEG(BaseHTTPRequestHandler):
    """Sends JPEGs as network cameras do, until the client or the test goes."""

    def do_GET(self) -> None:
        """The stream."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        server = self.server
        assert isinstance(server, MJPEGServer)
        number = 0
        try:
            while not server.gone.wait(0.02):
                number += 1
                _, data = cv2.imencode(".jpg", solid(number * 10 % 256, side=64))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {data.size}\r\n\r\n"
                self.wfile.write(head.encode() + data.tobytes() + b"\r\n")
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Silent."""


class MJPEGServer(ThreadingHTTPServer):
    """A network camera on a free loopback port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MJPEG)
        self.gone = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/stream.mjpg"


@pytest.fixture
def mjpeg_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MJPEGServer]:
    """A running network camera; `gone.set()` pulls its cable."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = MJPEGServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="mjpeg")
    thread.start()
    yield server
    server.gone.set()
    server.shutdown()
    thread.join()
    server.server_close()
