"""A network camera's stream, split at any byte."""

import random
import socket
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.core.clock import StopEvent
from edge.core.errors import CameraError
from edge.core.threads import start_thread
from tests.edge.capture.conftest import camera_config

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


def test_a_length_that_no_picture_has_is_refused(serve: Serve) -> None:
    """It is refused before memory is allocated; a length without digits is ignored."""
    picture = jpeg()
    part = b"--frame\r\nContent-Length: %s\r\n\r\n" + picture.replace(b"%", b"%%") + b"\r\n"
    pieces = [HEAD % b"", part % b"a few", part % b"4000000000", b"--frame\r\n"]
    camera = MJPEGCamera(camera_config(serve(pieces).url, timeout_s=10))
    assert next_picture(camera) == picture
    with pytest.raises(CameraError, match="without a picture; this is no MJPEG stream"):
        camera.grab(StopEvent())
    camera.close()
