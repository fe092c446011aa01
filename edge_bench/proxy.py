"""A proxy between daemon and broker. It records when each verdict was written to the socket."""

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
from edge_bench.packets import PublishParser

_CHUNK_BYTES, _ANCILLARY_BYTES = 65_536, 256
_TIMESTAMPNS = 35  # SO_TIMESTAMPNS; Python has no name for it
_TIMESPEC = struct.Struct("qq")
_MAX_CLOCK_GAP_S = 0.00005


@dataclass(frozen=True, slots=True)
class PublishStamp:
    """The body of a verdict, and when its last byte arrived (monotonic seconds)."""

    at: float
    body: bytes


class Proxy:
    """Forwards all bytes in both directions, unchanged."""

    def __init__(self, broker_port: int, topic: str) -> None:
        """Listens on `port` of the loopback. `topic` is the topic of the verdicts."""
        self.stamps: queue.SimpleQueue[PublishStamp] = queue.SimpleQueue()
        self._broker_port, self._topic = broker_port, topic
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        start_thread("bench-proxy", self._accept)

    def close(self) -> None:
        """Closes both sides."""
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
                start_thread("bench-proxy-up", partial(self._forward_to_broker, client, broker))
                start_thread("bench-proxy-down", partial(self._forward, broker, client))

    def _forward_to_broker(self, client: socket.socket, broker: socket.socket) -> None:
        parser = PublishParser()
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
            while True:
                data, ancillary, _, _ = client.recvmsg(_CHUNK_BYTES, _ANCILLARY_BYTES)
                if not data:
                    break
                at = arrival_time(ancillary)
                broker.sendall(data)
                for publish in parser.feed(data):
                    if publish.topic == self._topic:
                        self.stamps.put(PublishStamp(at, publish.body))
        _shut_down(client, broker)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                target.sendall(data)
        _shut_down(source, target)


def arrival_time(ancillary: Iterable[tuple[int, int, bytes]]) -> float:
    """The arrival time of data, monotonic seconds, by the kernel's time stamp if there is one.

    So the delay until this thread runs does not count as the daemon's.
    """
    tick, now, after = time.monotonic(), time.time(), time.monotonic()
    while after - tick > _MAX_CLOCK_GAP_S:  # the thread was interrupted between the two clocks
        tick, now, after = time.monotonic(), time.time(), time.monotonic()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanos = _TIMESPEC.unpack_from(data)
            return after - max(0.0, now - float(seconds) - float(nanos) / 1e9)
    return after


def _shut_down(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
