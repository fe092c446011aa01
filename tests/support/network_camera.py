"""A network camera on a loopback port that behaves as its test says: login, TLS, framing, time."""

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.threads import start_thread

OK = b"HTTP/1.1 200 OK\r\n"
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
MULTIPART = b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n"


def to_jpeg(pixels: NDArray[np.uint8], *, progressive: bool = False) -> bytes:
    """A JPEG of quality 90."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


def scene(
    number: int, bright: float = 1.0, red: int = 40, height: int = 96, width: int = 128
) -> NDArray[np.uint8]:
    """A noisy scene with a part, at this exposure; `red` 250 is a defect for the tests' model."""
    pixels = np.full((height, width, 3), (90, 60, red), np.float32)
    pixels[height // 5 : height // 2, width // 6 : width // 2] += 40
    pixels += np.random.default_rng(number).normal(0, 6, pixels.shape)
    shown: NDArray[np.uint8] = np.clip(pixels * bright, 0, 255).astype(np.uint8)
    return shown


def as_part(
    jpeg: bytes,
    delimiter: bytes = b"--frame",
    *,
    length: int | str | None = None,
    newline: bytes = b"\r\n",
    headers: bytes = b"",
) -> bytes:
    """A part as cameras send it. `length`: of the Content-Length header; None: without one."""
    head = delimiter + newline + b"Content-Type: image/jpeg" + newline + headers
    if length is not None:
        head += b"Content-Length: " + str(length).encode() + newline
    return head + newline + jpeg + newline


@dataclass(frozen=True, slots=True)
class Request:
    """What the client has sent."""

    target: str
    headers: dict[str, bytes] = field(default_factory=dict)


Serve = Callable[[socket.socket, Request], None]


class NetworkCamera:
    """Calls `serve` for each connection, on a thread of its own; an OSError there is no fault."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve, self._tls = serve, tls
        self.requests: list[Request] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/video"
        self._clients: list[socket.socket] = []
        self._threads = [start_thread("camera-server", self._accept)]

    def close(self) -> None:
        """Closes all connections and waits for their threads."""
        for one in (self._server, *self._clients):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients.append(client)
                self._threads.append(start_thread("camera-client", partial(self._talk, client)))

    def _talk(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._clients.append(client)
            with client:
                request = read_request(client)
                self.requests.append(request)
                self._serve(client, request)


def read_request(client: socket.socket) -> Request:
    """The head of the request."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(4096)
        if not more:
            raise ConnectionResetError
        data += more
    first, *lines = data.split(b"\r\n\r\n")[0].split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    headers = {name.decode().lower(): value.strip() for name, _, value in pairs}
    return Request(first.split()[1].decode(), headers)


@contextlib.contextmanager
def network_camera(serve: Serve, tls: ssl.SSLContext | None = None) -> Iterator[NetworkCamera]:
    """A running camera."""
    camera = NetworkCamera(serve, tls)
    try:
        yield camera
    finally:
        camera.close()


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """The camera's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class PictureStream:
    """Sends scenes at a rate until the client or the test ends: `bright(n)` of picture n."""

    def __init__(
        self, bright: Callable[[int], float], red: Callable[[int], int], fps: float = 10.0
    ) -> None:
        self._bright, self._red, self._fps = bright, red, fps
        self.stop = threading.Event()
        self.connections = 0

    def __call__(self, client: socket.socket, _request: Request) -> None:
        """Each connection starts with picture 0."""
        self.connections += 1
        client.sendall(OK + MULTIPART + b"\r\n")
        number = 0
        while not self.stop.wait(1 / self._fps):
            seed = self.connections * 100_000 + number
            jpeg = to_jpeg(scene(seed, self._bright(number), self._red(number)))
            client.sendall(as_part(jpeg, length=len(jpeg)))
            number += 1


class DigestCheck:
    """The server's side of RFC 7616, by the letter, for one name and password."""

    def __init__(self, name: bytes, password: bytes, *, nonce: str = "n0") -> None:
        self.name, self.password, self.nonce, self.realm = name, password, nonce, "camera"

    def is_right(self, request: Request) -> bool:
        """Whether the Authorization header is right, and for this request."""
        header = request.headers.get("authorization", b"")
        if not header.startswith(b"Digest "):
            return False
        found = {
            key.decode(): quoted or plain
            for key, quoted, plain in re.findall(
                rb'([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', header
            )
        }
        algorithm = found.get("algorithm", b"MD5").decode().upper()
        function = _HASHES[algorithm.removesuffix("-SESS")]

        def digest(*parts: bytes) -> bytes:
            return hashlib.new(function, b":".join(parts)).hexdigest().encode()

        if found["uri"] != request.target.encode() or found["nonce"] != self.nonce.encode():
            return False
        realm = self.realm.encode()
        if "username*" in found:
            name = unquote_to_bytes(found["username*"].removeprefix(b"UTF-8''"))
        else:
            name = re.sub(rb"\\(.)", rb"\1", found["username"])
        expected = digest(self.name, realm) if "userhash" in found else self.name
        first = digest(self.name, realm, self.password)
        if algorithm.endswith("-SESS"):
            first = digest(first, self.nonce.encode(), found["cnonce"])
        body = [digest(b"")] if found.get("qop") == b"auth-int" else []
        second = digest(b"GET", found["uri"], *body)
        middle = [found["nc"], found["cnonce"], found["qop"]] if "qop" in found else []
        right = digest(first, self.nonce.encode(), *middle, second)
        return name == expected and found["response"] == right


def basic_is_right(request: Request, name: bytes, password: bytes) -> bool:
    """Whether the Authorization header is Basic, with this name and password."""
    scheme, _, text = request.headers.get("authorization", b"").partition(b" ")
    return scheme == b"Basic" and base64.b64decode(text) == name + b":" + password
