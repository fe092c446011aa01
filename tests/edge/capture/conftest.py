"""Cameras for tests: scripted ones, bad devices, and an MJPEG server on this machine."""

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.capture.camera import CameraRead
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from tests.edge.capture.dropfolder import Receipts
from tests.edge.capture.reader_harness import MakeHarness, ReaderHarness
from tests.support.clock import Patience
from tests.support.frames import solid
from tests.support.jpegs import with_segments

Step = NDArray[np.uint8] | CameraRead | BaseException | None


class ScriptedCamera:
    """A camera with a script: each step is a picture, a fault, an exception or the end."""

    def __init__(self, steps: list[Step], live: bool = True) -> None:
        self.live = live
        self.closed = 0
        self.steps = steps
        self.on_read: Callable[[], None] = lambda: None

    def read(self, stop: StopEvent) -> CameraRead | None:
        """The next step."""
        self.on_read()
        if stop.is_set() or self.closed or not self.steps:
            return None
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, CameraRead) or step is None else CameraRead(step)

    def close(self) -> None:
        """Counts."""
        self.closed += 1


class FakeCapture:
    """cv2.VideoCapture of a bad device: True without a picture, closed in mid-stream."""

    def __init__(self, answers: list[tuple[bool, Any]], opened: bool = True) -> None:
        self.answers, self.opened = answers, opened
        self.released = 0
        self.settings: dict[int, float] = {}
        self.formats: list[str] = []
        self._grabbed: tuple[bool, Any] = (False, None)
        self.arguments: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any) -> Any:
        """Opens, as cv2.VideoCapture(...) does."""
        self.arguments = arguments
        return self

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Whether there is a device."""
        return self.opened and not self.released

    def grab(self) -> bool:
        """Takes the next answer; OpenCV returns False for ever after a device is gone."""
        gone = self.released or not self.answers
        self._grabbed = (False, None) if gone else self.answers.pop(0)
        return self._grabbed[0]

    def retrieve(self, _target: Any = None) -> tuple[bool, Any]:
        """The grabbed answer."""
        return self._grabbed

    def get(self, prop: int) -> float:
        """The set format when the camera has it, else the first that it has."""
        if prop != cv2.CAP_PROP_FOURCC or not self.formats:
            return 0.0
        codes = [float(cv2.VideoWriter.fourcc(*name)) for name in self.formats]
        wanted = self.settings.get(prop, codes[0])
        return wanted if wanted in codes else codes[0]

    def set(self, prop: int, value: float) -> bool:
        """Remembers a setting."""
        self.settings[prop] = value
        return True

    def release(self) -> None:
        """Counts."""
        self.released += 1


def noise(seed: int, side: int = 32) -> NDArray[np.uint8]:
    """A picture of sensor noise: no two are the same."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def camera_config(source: str, **options: Any) -> CameraConfig:
    """A camera's section of config.yaml."""
    return CameraConfig.read({"id": "top", "source": source, **options})


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
        """Sends the stream, a web page, or 404."""
        if not self._let_in():
            return
        if not self.path.endswith(".mjpg"):
            self.send_response(200 if self.path.endswith(".html") else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        server = self.server
        assert isinstance(server, MJPEGServer)
        number = 0
        try:
            while not server.gone.wait(0.02):
                number += not server.frozen
                server.sent += 1
                _, drawn = cv2.imencode(".jpg", noise(number, side=64))
                data = with_segments(drawn.tobytes(), *server.segments)
                size = len(data) // 2 if number == server.damaged else len(data)
                length = f"Content-Length: {size}\r\n" if server.length else ""
                head = f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n"
                self.wfile.write(head.encode() + data[:size] + b"\r\n")
        except OSError:
            return

    def _let_in(self) -> bool:
        server = self.server
        assert isinstance(server, MJPEGServer)
        header = self.headers.get("Authorization", "")
        if server.asks == "basic":
            right = header == "Basic " + base64.b64encode(b"operator:s3cret").decode()
            question = 'Basic realm="camera"'
        else:
            right = server.asks == "" or _digest_is_right(header)
            question = 'Digest realm="camera", nonce="n1", qop="auth", algorithm=MD5'
        if not right:
            self.send_response(401)
            self.send_header("WWW-Authenticate", question)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return right

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Silent."""


def _digest_is_right(header: str) -> bool:
    """RFC 2617 with qop=auth, for operator:s3cret."""
    parts = dict(re.findall(r'(\w+)="?([^",]*)"?', header.removeprefix("Digest ")))
    if parts.get("username") != "operator":
        return False

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    first, second = md5("operator:camera:s3cret"), md5(f"GET:{parts['uri']}")
    middle = ":".join(parts[key] for key in ("nonce", "nc", "cnonce", "qop"))
    return bool(parts["response"] == md5(f"{first}:{middle}:{second}"))


class MJPEGServer(ThreadingHTTPServer):
    """A network camera on a free loopback port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MJPEG)
        self.gone = threading.Event()
        self.asks = ""  # basic or digest
        self.length = True  # whether each part has a Content-Length
        self.segments: list[bytes] = []  # in the header of each picture
        self.damaged = 0  # the number of the picture that ends too early
        self.frozen = False  # whether it sends the same picture again and again
        self.sent = 0
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


@pytest.fixture
def receipts() -> Receipts:
    """A ledger without receipts."""
    return Receipts()


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def make_harness(environment: Clock, patience: Patience) -> MakeHarness:
    """`make_harness("test:", frozen_after=3)`: a reader under the turned clock."""

    def build(source: str = "test:", **options: Any) -> ReaderHarness:
        return ReaderHarness(environment, patience, source, **options)

    return build
