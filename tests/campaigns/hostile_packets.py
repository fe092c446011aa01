"""What a broken or hostile broker sends to a box: bytes that are not MQTT, packets with wrong
fields, lengths that promise too much.

`Interferer` stands between box and broker and sends them into a working connection.
"""

import contextlib
import random
import selectors
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable

TOPIC = b"inspection/line1/request/trigger"


def packet(first: int, body: bytes) -> bytes:
    """A packet with the right length."""
    length, size = len(body), bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        size.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([first, *size]) + body


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _publish(topic: bytes, rest: bytes, first: int = 0x30) -> bytes:
    return packet(first, _text(topic) + rest)


def _mid(rng: random.Random) -> bytes:
    return rng.randrange(65536).to_bytes(2, "big")


PACKETS: dict[str, Callable[[random.Random], bytes]] = {
    "noise": lambda rng: rng.randbytes(rng.randint(1, 400)),
    "any packet": lambda rng: packet(rng.randrange(256), rng.randbytes(rng.randint(0, 60))),
    "PUBACK, undefined code": lambda rng: packet(0x40, _mid(rng) + bytes([rng.randrange(1, 256)])),
    "PUBACK, cut": lambda rng: packet(0x40, rng.randbytes(rng.randint(0, 1))),
    "SUBACK, undefined code": lambda rng: packet(0x90, _mid(rng) + b"\0" + rng.randbytes(3)),
    "SUBACK, empty": lambda rng: packet(0x90, _mid(rng)),
    "second CONNACK": lambda rng: packet(0x20, bytes([0, rng.randrange(256), 0])),
    "CONNACK, cut": lambda rng: packet(0x20, rng.randbytes(rng.randint(0, 2))),
    "CONNACK, properties": lambda rng: packet(0x20, b"\0\0" + bytes([20]) + rng.randbytes(20)),
    "DISCONNECT": lambda rng: packet(0xE0, bytes([rng.randrange(256), 0])),
    "AUTH": lambda rng: packet(0xF0, rng.randbytes(rng.randint(0, 9))),
    "topic, no UTF-8": lambda rng: _publish(rng.randbytes(20), b"\0{}"),
    "topic with wildcards": lambda _: _publish(b"inspection/+/request/#", b"\0{}"),
    "topic empty": lambda _: _publish(b"", b"\0{}"),
    "topic with an alias": lambda rng: _publish(b"", b"\x03\x23" + _mid(rng) + b"{}"),
    "topic longer than the packet": lambda _: packet(0x30, b"\xff\xff" + b"abc"),
    "QoS 2": lambda rng: _publish(TOPIC, _mid(rng) + b"\0" + rng.randbytes(50), 0x34),
    "QoS 3": lambda rng: _publish(TOPIC, _mid(rng) + b"\0{}", 0x36),
    "PUBREL": lambda rng: packet(0x62, _mid(rng)),
    "PUBREC": lambda rng: packet(0x50, _mid(rng)),
    "PUBCOMP": lambda rng: packet(0x70, _mid(rng)),
    "properties cut": lambda rng: _publish(TOPIC, b"\x7f" + rng.randbytes(5)),
    "properties undefined": lambda rng: _publish(TOPIC, b"\x05" + rng.randbytes(5) + b"{}"),
    "many user properties": lambda _: _publish(
        TOPIC, b"\x80\xa0\x01" + (b"\x26" + _text(b"n" * 10) + _text(b"v" * 3)) * 1138 + b"{}"
    ),
    "length of five bytes": lambda _: b"\x30\xff\xff\xff\xff\x7f",
    "length of 250 MB": lambda rng: b"\x30\xff\xff\xff\x7c" + _text(TOPIC) + rng.randbytes(200),
    "request by a client's packet": lambda rng: packet(rng.choice((0x10, 0x82, 0xA2, 0xC0)), b""),
}


def hostile_packet(rng: random.Random) -> tuple[str, bytes]:
    """One packet and its kind."""
    kind = rng.choice([*PACKETS])
    return kind, PACKETS[kind](rng)


class Interferer:
    """Forwards between boxes and a broker on one thread, and sends hostile packets to the box, one
    each `every_s` seconds on average."""

    def __init__(self, broker: int, every_s: float, seed: int) -> None:
        """`broker`: its loopback port."""
        self.kinds: Counter[str] = Counter()
        self.connects = 0
        self._broker, self._every_s, self._rng = broker, every_s, random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._boxes: set[socket.socket] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="interferer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and all connections."""
        self._ended.set()
        self._thread.join(20)

    def _run(self) -> None:
        step_s = 0.05
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(step_s):
                    sock: socket.socket = key.fileobj  # type: ignore[assignment]
                    if sock is self._server:
                        self._accept(selector)
                    elif sock in self._peers:
                        self._forward(selector, sock)
                if self._boxes and self._rng.random() < step_s / self._every_s:
                    self._interfere()
            for sock in [*self._peers, self._server]:
                sock.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        box, _ = self._server.accept()
        broker = socket.create_connection(("127.0.0.1", self._broker))
        self.connects += 1
        self._boxes.add(box)
        for one, other in ((box, broker), (broker, box)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _forward(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        other = self._peers[sock]
        with contextlib.suppress(OSError):
            if data := sock.recv(65536):
                other.sendall(data)
                return
        for one in (sock, other):
            selector.unregister(one)
            del self._peers[one]
            self._boxes.discard(one)
            one.close()

    def _interfere(self) -> None:
        kind, data = hostile_packet(self._rng)
        self.kinds[kind] += 1
        with contextlib.suppress(OSError):
            self._rng.choice([*self._boxes]).sendall(data)


def greet_and_send(server: socket.socket, data: bytes, level: int) -> None:
    """Accepts one client, grants its CONNECT, sends `data` and resets the connection."""
    peer, _ = server.accept()
    with peer, contextlib.suppress(OSError):
        peer.settimeout(5)
        peer.recv(4096)
        peer.sendall(bytes.fromhex("2003000000" if level == 5 else "20020000") + data)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
