"""A network camera for the bench: serves JPEGs over HTTP (MJPEG) at a steady rate."""

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from edge.core.threads import start_thread

_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@dataclass(frozen=True, slots=True)
class SentPicture:
    """The time when the last byte of a picture was written, on two clocks, in seconds."""

    monotonic_s: float
    epoch_s: float


class CameraServer:
    """Serves any number of clients. `sent` lists the pictures of all clients, in order."""

    def __init__(self, pictures: Sequence[bytes], rate: float) -> None:
        """Starts to serve. `pictures` are JPEGs, `rate` is frames/s."""
        self.sent: list[SentPicture] = []
        self._rate = rate
        self._parts = [
            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            + data
            + b"\r\n"
            for data in pictures
        ]
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        start_thread("bench-camera", self._accept)

    @property
    def source(self) -> str:
        """The value of `cameras[].source` for this server."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/video"

    def close(self) -> None:
        """Closes all connections."""
        self._stop.set()
        for one in (self._server, *self._clients):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                self._clients.append(client)
                start_thread("bench-camera-client", partial(self._serve, client))

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the daemon has closed the connection
            client.recv(65_536)
            client.sendall(_HEAD)
            due, number = time.monotonic(), 0
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                client.sendall(self._parts[number % len(self._parts)])
                self.sent.append(SentPicture(time.monotonic(), time.time()))
                number += 1
                due += 1 / self._rate
