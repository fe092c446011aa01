"""The fault-injecting proxy, seen from two plain sockets."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support import packets
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

_DEADLINE_S = 20.0


class ProxiedConnection:
    """Both ends of a connection through the proxy."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(self.server.getsockname()[1])
        self.sockets: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """The box's end."""
        box = socket.create_connection(("127.0.0.1", self.proxy.port), _DEADLINE_S)
        self.sockets.append(box)
        return box

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """The box's end and the broker's, connected, after a CONNECT of version 5 was passed."""
        box = self.connect()
        self.server.settimeout(_DEADLINE_S)
        broker, _ = self.server.accept()
        broker.settimeout(_DEADLINE_S)
        self.sockets.append(broker)
        connect_packet = packets.connect("box", 5).replace(b"MQTT\x04", b"MQTT\x05")
        box.sendall(connect_packet)
        assert take(broker, len(connect_packet)) == connect_packet
        return box, broker


@pytest.fixture
def proxied() -> Iterator[ProxiedConnection]:
    sockets = ProxiedConnection()
    yield sockets
    sockets.proxy.close()
    for sock in (*sockets.sockets, sockets.server):
        sock.close()


def take(sock: socket.socket, count: int) -> bytes:
    """Reads exactly `count` bytes."""
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, f"the end, after {data!r}"
        data += more
    return data


def result(name: str, mid: int) -> bytes:
    """A verdict as the box sends it in version 5."""
    topic = b"inspection/line1/result"
    payload = json.dumps({"id": name}).encode()
    body = len(topic).to_bytes(2, "big") + topic + mid.to_bytes(2, "big") + b"\x00" + payload
    return bytes([0x32, len(body)]) + body


def test_it_forwards_both_ways_and_records_verdicts(proxied: ProxiedConnection) -> None:
    """Every byte arrives, and the ids of verdicts are recorded in order."""
    box, broker = proxied.pair()
    data = result("one", 1) + result("two", 2)
    box.sendall(data)
    assert take(broker, len(data)) == data
    broker.sendall(packets.puback(1, 5) + packets.puback(2, 5))
    assert take(box, 8) == packets.puback(1, 5) + packets.puback(2, 5)
    assert proxied.proxy.recorder.sent == ["one", "two"]


def test_a_cut_is_a_reset(proxied: ProxiedConnection) -> None:
    """Both sides see a reset."""
    for sock in (pair := proxied.pair()):
        assert sock in pair
    proxied.proxy.cut()
    for sock in pair:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_a_half_close_to_the_box_keeps_the_other_direction(proxied: ProxiedConnection) -> None:
    """The box reads EOF, and its bytes still arrive."""
    box, broker = proxied.pair()
    proxied.proxy.half_close(to_box=True)
    assert box.recv(1) == b""
    box.sendall(packets.pingreq())
    assert take(broker, 2) == packets.pingreq()


def test_a_half_close_to_the_broker_keeps_the_other_direction(proxied: ProxiedConnection) -> None:
    """The broker reads EOF, and its bytes still arrive."""
    box, broker = proxied.pair()
    proxied.proxy.half_close(to_box=False)
    assert broker.recv(1) == b""
    broker.sendall(packets.pingreq())
    assert take(box, 2) == packets.pingreq()


@pytest.mark.parametrize("direction", ["stall_to_broker", "stall_to_box"])
def test_a_stall_holds_one_direction_and_loses_nothing(
    proxied: ProxiedConnection, direction: str
) -> None:
    """A stalled direction delivers nothing; the other works; later all bytes arrive."""
    box, broker = proxied.pair()
    proxied.proxy.behave(**{direction: True})
    held, open_side = (box, broker) if direction == "stall_to_broker" else (broker, box)
    held.sendall(packets.pingreq() * 3)
    open_side.sendall(packets.pingreq())
    assert take(held, 2) == packets.pingreq()
    open_side.settimeout(0.2)
    with pytest.raises(TimeoutError):
        open_side.recv(1)
    open_side.settimeout(_DEADLINE_S)
    proxied.proxy.reset_behaviour()
    assert take(open_side, 6) == packets.pingreq() * 3


@pytest.mark.slow
def test_throttling_is_slow_and_complete(proxied: ProxiedConnection) -> None:
    """5,000 bytes at 10,000 bytes/s take about half a second, and all arrive."""
    box, broker = proxied.pair()
    proxied.proxy.behave(bytes_per_s=10_000.0)
    since = time.monotonic()
    box.sendall(packets.pingreq() * 2500)
    assert take(broker, 5000) == packets.pingreq() * 2500
    assert time.monotonic() - since > 0.25


@pytest.mark.parametrize(
    ("level", "answer"), [(4, b"\x20\x02\x00\x05"), (5, b"\x20\x03\x00\x87\x00")]
)
def test_a_refused_connect(proxied: ProxiedConnection, level: int, answer: bytes) -> None:
    """The CONNACK has the reason of the client's version, then the connection closes. The broker
    receives nothing."""
    proxied.proxy.behave(refuse=(5, 0x87))
    box = proxied.connect()
    box.sendall(packets.connect("box", 5).replace(b"MQTT\x04", b"MQTT" + bytes([level])))
    assert take(box, len(answer)) == answer
    assert box.recv(1) == b""
    proxied.server.settimeout(0.1)
    with pytest.raises(TimeoutError):
        proxied.server.accept()


def test_a_forged_puback_keeps_the_order_and_hides_the_verdict(
    proxied: ProxiedConnection,
) -> None:
    """The PUBACK of the refused second verdict waits for the first, and the refusal is recorded."""
    box, broker = proxied.pair()
    box.sendall(result("one", 1))
    take(broker, len(result("one", 1)))
    proxied.proxy.behave(answers=[0x97])
    box.sendall(result("two", 2) + result("six", 3))
    assert take(broker, len(result("six", 3))) == result("six", 3)
    broker.sendall(packets.puback(3, 5))
    box.settimeout(0.2)
    with pytest.raises(TimeoutError):
        box.recv(1)
    box.settimeout(_DEADLINE_S)
    broker.sendall(packets.puback(1, 5))
    expected = packets.puback(1, 5) + packets.puback(2, 5, 0x97) + packets.puback(3, 5)
    assert take(box, len(expected)) == expected
    assert proxied.proxy.recorder.refused == {"two": 0x97}
    assert proxied.proxy.recorder.sent == ["one", "two", "six"]


@pytest.mark.slow
def test_a_silent_proxy_accepts_and_never_answers(proxied: ProxiedConnection) -> None:
    """The connection is accepted, and no answer arrives."""
    proxied.proxy.behave(silent=True)
    box = proxied.connect()
    box.sendall(packets.connect("box", 5))
    box.settimeout(0.3)
    with pytest.raises(TimeoutError):
        box.recv(1)


def test_a_closed_proxy_resets_connections(proxied: ProxiedConnection) -> None:
    """A new connection is reset at once."""
    proxied.proxy.behave(closed=True)
    with pytest.raises(ConnectionResetError):
        proxied.connect().recv(1)


def test_without_a_broker_the_box_is_reset(proxied: ProxiedConnection) -> None:
    """Without a broker, the connection is reset."""
    proxied.server.close()
    with pytest.raises(ConnectionResetError):
        proxied.connect().recv(1)


@pytest.mark.slow
def test_a_side_that_does_not_read_stops_the_other(proxied: ProxiedConnection) -> None:
    """The proxy buffers a bounded amount."""
    box, broker = proxied.pair()
    block = result("x" * 80, 1)
    sent = [0]

    def send_until_blocked() -> None:
        box.settimeout(1.0)
        try:
            while True:
                sent[0] += box.send(block * 500)
        except (TimeoutError, OSError):
            return

    thread = threading.Thread(target=send_until_blocked)
    thread.start()
    thread.join(_DEADLINE_S * 3)
    assert not thread.is_alive()
    assert sent[0] < 100 * 2**20
    first = take(broker, len(block))
    assert first == block
    wait_until(lambda: len(proxied.proxy.recorder.sent) > 1000)
