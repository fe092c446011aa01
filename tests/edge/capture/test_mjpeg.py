"""A network camera's stream: split at any byte, late, and with odd answers."""

import fcntl
import random
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.drivers.http_stream import HTTPStream
from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.capture.factory import CameraFactory
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.threads import start_thread
from tests.edge.capture.conftest import camera_config
from tests.support.certificates import make_authority
from tests.support.network_camera import (
    MULTIPART,
    OK,
    Request,
    as_part,
    network_camera,
    scene,
    server_tls,
    to_jpeg,
)
from tests.support.waiting import wait_until

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n"
    b"Connection: close\r\n%s\r\n"
)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class RawServer:
    """Answers one client with these pieces, then closes the connection."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/video"
        self._thread = start_thread("raw-server", self._serve)

    def _serve(self) -> None:
        client, _ = self._server.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.recv(65_536)
            for piece in self._pieces:
                client.sendall(piece)

    def close(self) -> None:
        self._server.close()
        self._thread.join(10)


Serve = Callable[[list[bytes]], RawServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers, and ends them."""
    servers: list[RawServer] = []

    def start(pieces: list[bytes]) -> RawServer:
        servers.append(RawServer(pieces))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def jpeg(*comments: bytes) -> bytes:
    """A small JPEG that carries comments of at most 65,533 bytes each."""
    done, data = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))
    assert done
    whole = data.tobytes()
    carried = b"".join(b"\xff\xfe" + (len(one) + 2).to_bytes(2, "big") + one for one in comments)
    return whole[:2] + carried + whole[2:]


def next_picture(camera: MJPEGCamera) -> bytes | None:
    """The bytes of the next picture of the stream."""
    assert camera.grab(StopEvent())
    encoded = camera.retrieve_encoded().encoded
    return None if encoded is None else bytes(encoded.data)


def cut(data: bytes, dice: random.Random) -> list[bytes]:
    """Splits the data into pieces of one byte or more."""
    pieces = []
    while data:
        size = dice.choice([1, 7, 1000, 65_536, 300_000])
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
@pytest.mark.parametrize("seed", range(6))
def test_a_stream_does_not_depend_on_its_pieces(serve: Serve, seed: int, *, chunked: bool) -> None:
    """Pictures of some hundred bytes to half a megabyte arrive unchanged: with and without a
    length, several in one piece or one in many, plain or chunked. Then the end is reported.
    """
    dice = random.Random(seed)
    sent, stream = [], b""
    for _ in range(12):
        comment = dice.randbytes(dice.choice([1, 100, 65_533])).replace(b"\r", b"-")
        picture = jpeg(*[comment] * dice.choice([1, 2, 8]))
        length = dice.choice([b"", b"Content-Length: %d\r\n" % len(picture)])
        sent.append(picture)
        stream += b"--frame\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + picture + b"\r\n"
    pieces = cut(stream + b"--frame--\r\n", dice)
    if chunked:
        pieces = [b"%x\r\n%s\r\n" % (len(one), one) for one in pieces] + [b"0\r\n\r\n"]
    camera = MJPEGCamera(
        camera_config(serve([HEAD % (CHUNKED if chunked else b""), *pieces]).url, timeout_s=10)
    )
    for picture in sent:
        assert next_picture(camera) == picture
    with pytest.raises(CameraError, match=r"stream has ended|delivers no picture"):
        camera.grab(StopEvent())
    camera.close()


def test_a_length_that_no_picture_has_is_ignored(serve: Serve) -> None:
    """No memory is allocated for it; the picture ends where the JPEG ends."""
    picture = jpeg()
    parts = [as_part(picture, length=length) for length in ("a few", "4000000000", "30000000")]
    camera = MJPEGCamera(camera_config(serve([HEAD % b"", *parts]).url, timeout_s=10))
    assert [next_picture(camera) for _ in parts] == [picture] * 3
    assert any("a Content-Length that no picture has" in text for text in camera.take_notes())
    camera.close()


class Steps:
    """A camera that sends when the test says so."""

    def __init__(self) -> None:
        self.client: socket.socket | None = None
        self.ready = threading.Event()
        self.end = threading.Event()

    def __call__(self, client: socket.socket, _request: Request) -> None:
        client.sendall(OK + MULTIPART + b"\r\n")
        self.client = client
        self.ready.set()
        self.end.wait(30)

    def send(self, data: bytes) -> float:
        """Sends until all has arrived or the driver's buffer is full; returns the time, monotonic
        seconds."""
        assert self.ready.wait(10)
        client = self.client
        assert client is not None
        thread = start_thread("camera-sends", lambda: client.sendall(data))
        before, since = -1, 0.0

        def arrived() -> bool:
            nonlocal before, since
            queue = fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, bytes(4))
            unsent = int.from_bytes(queue, "little")
            if unsent != before:
                before, since = unsent, time.monotonic()
            # nothing has moved for a while: the rest waits here for room at the other end
            return (unsent == 0 and not thread.is_alive()) or time.monotonic() > since + 0.3

        wait_until(arrived, "the bytes at the other end", 10)
        return time.monotonic()


@pytest.fixture(params=["plain", "tls"])
def steps(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Steps, MJPEGCamera]]:
    """A camera and its driver, which has read one picture."""
    camera_steps, tls = Steps(), None
    options: dict[str, Any] = {}
    if request.param == "tls":
        make_authority(tmp_path, "camera")
        tls = server_tls(tmp_path / "camera.pem", tmp_path / "camera.key")
        options = {"tls": {"ca": str(tmp_path / "camera.pem"), "insecure_skip_hostname": True}}
    with network_camera(camera_steps, tls) as server:
        camera = MJPEGCamera(camera_config(server.url, timeout_s=10, **options))
        camera_steps.send(as_part(jpeg(), length=len(jpeg())))
        assert camera.grab(StopEvent())
        yield camera_steps, camera
        camera.close()
        camera_steps.end.set()


def tick_of_next(camera: MJPEGCamera) -> float:
    """When the next picture was taken, as far as the driver knows."""
    assert camera.grab(StopEvent())
    tick = camera.retrieve_encoded().captured_tick
    assert tick is not None
    return tick


@pytest.mark.slow
def test_pictures_that_waited_in_a_buffer_are_older_than_the_trigger(
    steps: tuple[Steps, MJPEGCamera],
) -> None:
    """Pictures that arrived while the process was busy keep that time: no part that was triggered
    afterwards gets them. The next one is younger than the trigger."""
    camera_steps, camera = steps
    for size in (10, 60_000, 2_000_000):
        for number in range(3):
            picture = jpeg(*[bytes([number]) * min(size, 60_000)] * max(1, size // 60_000))
            trigger = camera_steps.send(as_part(picture, length=len(picture)))
        for _ in range(3):
            assert tick_of_next(camera) <= trigger
        assert tick_of_next_while_waiting(camera_steps, camera) >= -0.01


def tick_of_next_while_waiting(camera_steps: Steps, camera: MJPEGCamera) -> float:
    """Seconds from the sending of a picture to its time; the driver waits for it, as usual."""
    found: Queue[float] = Queue()
    thread = start_thread("reader", lambda: found.put(tick_of_next(camera)))
    time.sleep(0.05)
    sent = time.monotonic()
    camera_steps.send(as_part(jpeg(), length=len(jpeg())))
    thread.join(10)
    return found.get() - sent


@pytest.mark.slow
def test_a_picture_is_as_old_as_its_first_byte(
    steps: tuple[Steps, MJPEGCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture whose end comes after the trigger was taken before it, also when its first half was
    read before."""
    receive, pieces = HTTPStream.receive, list[int]()

    def counted(stream: HTTPStream) -> tuple[bytes | memoryview, float]:
        data, arrived = receive(stream)
        pieces.append(len(data))
        return data, arrived

    monkeypatch.setattr(HTTPStream, "receive", counted)
    camera_steps, camera = steps
    picture = as_part(jpeg(b"x" * 60_000), length=len(jpeg(b"x" * 60_000)))
    found: Queue[float] = Queue()
    start_thread("reader", lambda: found.put(tick_of_next(camera)))
    camera_steps.send(picture[:30_000])
    wait_until(lambda: sum(pieces) >= 30_000, "the first half is read")
    trigger = time.monotonic()
    camera_steps.send(picture[30_000:])
    assert found.get(timeout=30) <= trigger


def test_a_proxy_that_holds_pictures_back_is_seen_by_the_cameras_own_time() -> None:
    """X-Timestamp shows by how much a picture is later than the fastest one. A time that stands
    still is ignored."""
    camera_steps = Steps()
    with network_camera(camera_steps) as server:
        camera = MJPEGCamera(camera_config(server.url, timeout_s=10))

        def age(stamp: float) -> float:
            header = b"X-Timestamp: %.6f\r\n" % stamp
            camera_steps.send(as_part(jpeg(), length=len(jpeg()), headers=header))
            return time.monotonic() - tick_of_next(camera)

        now = time.monotonic()
        for _ in range(3):
            assert age(1000.0) < 1
        offset = 1000.0 - now
        assert age(time.monotonic() + offset) < 1
        assert age(time.monotonic() + offset - 7) == pytest.approx(7, abs=0.5)
        assert age(time.monotonic() + offset) < 1
        camera.close()
        camera_steps.end.set()


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("text/html", False),
        ("application/json", False),
        ("image/jpeg", False),
        ("application/octet-stream", True),
        ("video/x-motion-jpeg", True),
        ("", True),
        ("Multipart/X-Mixed-Replace; Boundary=frame", True),
        ('multipart/x-mixed-replace;boundary ="--frame"', True),
    ],
)
def test_what_is_no_stream_is_refused(serve: Serve, kind: str, *, accepted: bool) -> None:
    """A web page and a single picture are no stream; a stream under another name is read."""
    header = f"Content-Type: {kind}\r\n" if kind else ""
    head = f"HTTP/1.0 200 OK\r\n{header}\r\n".encode()
    url = serve([head, as_part(jpeg(), length=len(jpeg()))]).url
    if accepted:
        camera = MJPEGCamera(camera_config(url, timeout_s=10))
        assert next_picture(camera) == jpeg()
        camera.close()
        return
    with pytest.raises(CameraError, match=f"sends {kind}, not an MJPEG stream"):
        MJPEGCamera(camera_config(url, timeout_s=10))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "Remote end closed connection without response"),
        (b"\x16\x03\x01\x00\n", "cannot be opened ("),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "header line"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://x/y\r\n\r\n", "check the address"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n", "cannot be opened ("),
        (b"HTTP/1.1 302 Found\r\n\r\n", "HTTP 302 Found"),
        (b"HTTP/1.1 503 Too many\r\n\r\n", "HTTP 503 Too many"),
    ],
)
def test_an_answer_that_is_none_is_one_sentence(serve: Serve, answer: bytes, words: str) -> None:
    """Whatever answers at the address, the camera is `lost` for one stated reason."""
    with pytest.raises(CameraError) as caught:
        MJPEGCamera(camera_config(serve([answer]).url, timeout_s=10))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [b"zz\r\n", b"-5\r\n", b"1" * 5000, b"ffffffffffffffffffff\r\n"])
def test_damaged_chunks_are_one_sentence(serve: Serve, size: bytes) -> None:
    """Chunked encoding that is damaged ends the stream, without a traceback."""
    part = as_part(jpeg(), length=len(jpeg()))
    pieces = [HEAD % CHUNKED, b"%x;ext=1\r\n%s\r\n" % (len(part), part), size]
    camera = MJPEGCamera(camera_config(serve(pieces).url, timeout_s=10))
    assert next_picture(camera) == jpeg()
    with pytest.raises(CameraError, match="the stream has ended"):
        camera.grab(StopEvent())
    camera.close()


def test_the_process_reports_what_is_wrong_once(
    fork_server: ForkServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon's log has one line for a camera with wrong lengths, also after a reconnect."""

    def send(client: socket.socket, _request: Request) -> None:
        client.sendall(OK + MULTIPART + b"\r\n")
        for number in range(200):
            picture = to_jpeg(scene(number))
            client.sendall(as_part(picture, length=len(picture) - 2))

    with network_camera(send) as server:
        factory = CameraFactory(fork_server)
        config = camera_config(server.url, timeout_s=20, open_timeout_s=30)
        for _ in range(2):
            camera = factory.open(config, Clock())
            for _ in range(3):
                read = camera.read(StopEvent())
                assert read is not None
                assert read.fault is None
            camera.close()
    lines = [record.getMessage() for record in caplog.records if "Content-Length" in record.message]
    assert len(lines) == 1
    assert "shorter than its picture; its lengths are ignored from now on" in lines[0]
