"""A network camera of the bench's own: JPEGs one after another over HTTP, at a steady rate."""

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
class Sent:
    """When a picture's last byte was written: monotonic seconds, and seconds since the epoch."""

    tick: float
    now: float


class CameraServer:
    """Any number of clients, each with a clock of its own. `sent` is of all of them, in order."""

    def __init__(self, pictures: Sequence[bytes], rate: float) -> None:
        """`pictures` are JPEGs, `rate` is frames/s. Serves from here on."""
        self.sent: list[Sent] = []
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
        """What `cameras[].source` says to read it."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/video"

    def close(self) -> None:
        """Hangs up on everybody."""
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
        with contextlib.suppress(OSError):  # the daemon has gone
            client.recv(65_536)
            client.sendall(_HEAD)
            due, number = time.monotonic(), 0
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                client.sendall(self._parts[number % len(self._parts)])
                self.sent.append(Sent(time.monotonic(), time.time()))
                number += 1
                due += 1 / self._rate
