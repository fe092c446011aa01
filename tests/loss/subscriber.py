"""The plant: an independent subscriber, QoS 1, with a session that lasts. It shares no code with
the daemon's client, and reads what the kernel holds for it to the last byte, also after the
broker was killed: what the broker had written to it counts as received."""

import contextlib
import json
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.support import packets

_DEADLINE_S = 30.0
_KEEPALIVE_S = 60


@dataclass(frozen=True, slots=True)
class Arrival:
    """A verdict as it arrived: `body` without `replayed`, as text that is equal for copies."""

    id: str
    seq: int
    camera: str
    replayed: bool
    body: str


class Subscriber:
    """One thread that connects again whenever the broker is back."""

    def __init__(self, port: int, pattern: str) -> None:
        """Returns when it has subscribed."""
        self.arrivals: list[Arrival] = []
        self.ids: set[str] = set()
        self.last: dict[str, Any] = {}  # newest body of each other topic
        self._port, self._pattern = port, pattern
        self._closed = False
        self._listening = threading.Event()
        self._answered = threading.Event()
        self._writing = threading.Lock()
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self._thread.start()
        self.wait()

    def wait(self) -> None:
        """Until it listens. Raises TimeoutError."""
        if not self._listening.wait(_DEADLINE_S):
            raise TimeoutError(f"no subscription after {_DEADLINE_S:g} s")

    def lost(self) -> None:
        """To be called after the broker was killed: waits until the end was noticed."""
        until = time.monotonic() + _DEADLINE_S
        while self._listening.is_set() and time.monotonic() < until:
            time.sleep(0.001)

    def catch_up(self) -> None:
        """Until it has taken in all that the broker has written to it by now: the answer to a ping
        comes behind it. Raises TimeoutError, OSError."""
        self.wait()
        assert self._sock is not None
        self._answered.clear()
        with self._writing:
            self._sock.sendall(packets.pingreq())
        if not self._answered.wait(_DEADLINE_S):
            raise TimeoutError(f"the broker does not answer a ping for {_DEADLINE_S:g} s")

    def close(self) -> None:
        """Leaves."""
        self._closed = True
        self._thread.join(_DEADLINE_S)

    def _run(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                self._session()
            self._listening.clear()
            time.sleep(0.005)

    def _session(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), 1.0) as sock:
            sock.sendall(packets.connect("plant", _KEEPALIVE_S))
            sock.sendall(packets.subscribe(1, self._pattern))
            self._sock = sock
            framer, pinged = packets.Framer(), time.monotonic()
            while not self._closed:
                if time.monotonic() - pinged > _KEEPALIVE_S / 4:
                    pinged = time.monotonic()
                    with contextlib.suppress(OSError), self._writing:
                        sock.sendall(packets.pingreq())
                if not select.select([sock], [], [], 0.1)[0]:
                    continue
                data = sock.recv(1 << 20)
                if not data:
                    return
                for packet in framer.feed(data):
                    self.receive(sock, packet)

    def receive(self, sock: socket.socket, packet: bytes) -> None:
        if packets.kind(packet) == packets.SUBACK:
            self._listening.set()
        if packets.kind(packet) == packets.PINGRESP:
            self._answered.set()
        if packets.kind(packet) != packets.PUBLISH:
            return
        message = packets.open_publish(packet, level=4)
        body = json.loads(message.payload) if message.payload else {}
        if message.topic.endswith("/result"):
            replayed = bool(body.pop("replayed"))
            plain = json.dumps(body, sort_keys=True)
            self.ids.add(body["id"])
            self.arrivals.append(Arrival(body["id"], body["seq"], body["camera"], replayed, plain))
        else:
            self.last[message.topic] = body
        if message.mid:
            # a broker that is gone takes no answer, but its last packets must still be read
            with contextlib.suppress(OSError), self._writing:
                sock.sendall(packets.puback(message.mid, level=4))
