"""Stands between the daemon and the broker and notes when each verdict was handed to the socket."""

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from edge.core.threads import start_thread
from edge_bench.packets import Publishes

_CHUNK, _ROOM = 65_536, 256
_TIMESTAMPNS = 35  # SO_TIMESTAMPNS, which Python does not name
_TIMESPEC = struct.Struct("qq")
_AT_ONCE_S = 0.00005


@dataclass(frozen=True, slots=True)
class Stamp:
    """A verdict's body, and when its last byte came (monotonic seconds)."""

    at: float
    body: bytes


class Proxy:
    """Forwards everything in both directions, byte by byte as it came."""

    def __init__(self, broker_port: int, topic: str) -> None:
        """`topic` is that of the verdicts. Listens on `port` of the loopback from here on."""
        self.stamps: queue.SimpleQueue[Stamp] = queue.SimpleQueue()
        self._broker_port, self._topic = broker_port, topic
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        start_thread("bench-proxy", self._accept)

    def close(self) -> None:
        """Hangs up on both sides."""
        with self._lock:
            for one in [self._server, *self._sockets]:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
                for one in (client, broker):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._sockets += [client, broker]
                start_thread("bench-proxy-up", partial(self._up, client, broker))
                start_thread("bench-proxy-down", partial(self._forward, broker, client))

    def _up(self, client: socket.socket, broker: socket.socket) -> None:
        publishes = Publishes()
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
            while True:
                data, told, _, _ = client.recvmsg(_CHUNK, _ROOM)
                if not data:
                    break
                at = came_at(told)
                broker.sendall(data)
                for publish in publishes.feed(data):
                    if publish.topic == self._topic:
                        self.stamps.put(Stamp(at, publish.body))
        _hang_up(client, broker)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                target.sendall(data)
        _hang_up(source, target)


def came_at(told: Iterable[tuple[int, int, bytes]]) -> float:
    """When data came, monotonic seconds: as the kernel has stamped it, where it does, so that the
    time until this thread ran is not counted as the daemon's."""
    tick, now, after = time.monotonic(), time.time(), time.monotonic()
    while after - tick > _AT_ONCE_S:  # this thread had to wait between the two clocks
        tick, now, after = time.monotonic(), time.time(), time.monotonic()
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanos = _TIMESPEC.unpack_from(data)
            return after - max(0.0, now - float(seconds) - float(nanos) / 1e9)
    return after


def _hang_up(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
