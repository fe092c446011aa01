"""Below paho: messages and their answers take the short way, paho gets all else, to the byte."""

import socket
import struct
from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import MQTTProtocolVersion

from edge.delivery.bypass import Bypass, Client, length_at, varint
from edge_bench.packets import Publish, Publishes

TOPIC = b"inspection/line1/result"


class Half:
    """A socket that takes and gives as it is told to; nothing blocks."""

    def __init__(self) -> None:
        self.incoming: list[bytes | OSError] = []
        self.room = 10**9
        self.written = b""
        self.broken: OSError | None = None
        self.closed = False

    def recv(self, most: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        first = self.incoming.pop(0)
        if isinstance(first, OSError):
            raise first
        assert len(first) <= most
        return first

    def send(self, data: bytes) -> int:
        if self.broken is not None:
            raise self.broken
        if not self.room:
            raise BlockingIOError
        some = min(self.room, len(data))
        self.written += bytes(data[:some])
        self.room -= some
        return some

    def close(self) -> None:
        self.closed = True


class Ends:
    """A bypass, its socket and what it has told."""

    def __init__(self, *, properties: bool = True) -> None:
        self.half = Half()
        self.answers: list[tuple[int, int]] = []
        self.bypass = Bypass(
            self.half, lambda mid, code: self.answers.append((mid, code)), properties=properties
        )

    def publish(self, body: bytes = b"{}", *, properties: bytes = b"\0") -> int:
        """One message."""
        return self.bypass.publish(TOPIC, body, retain=False, properties=properties)

    def fetch(self) -> bytes:
        """All that paho would get now, as it asks: byte by byte, then the rest."""
        got = b""
        while True:
            try:
                got += self.bypass.recv(1)
                got += self.bypass.recv(100)
            except BlockingIOError:
                return got


@pytest.fixture
def ends() -> Ends:
    """For MQTT 5."""
    return Ends()


def puback(mid: int, rest: bytes = b"") -> bytes:
    """An answer."""
    return b"\x40" + varint(2 + len(rest)) + struct.pack("!H", mid) + rest


def read_all(text: bytes) -> list[Publish]:
    """The messages in what was written."""
    return list(Publishes().feed(text))


@given(st.integers(0, 268_435_455))
def test_lengths_read_back(number: int) -> None:
    """MQTT's variable byte integers, of one to four bytes; half of one is none yet."""
    data = varint(number)
    assert length_at(b"x" + data, 1) == (number, 1 + len(data))
    assert length_at(data[:-1], 0) is None


def test_five_bytes_are_no_length() -> None:
    """MQTT has at most four: nothing behind them can be believed."""
    found = length_at(b"\xff\xff\xff\xff\x01", 0)
    assert found is not None
    assert found[0] == -1


PACKETS = st.one_of(
    st.tuples(st.just("theirs"), st.sampled_from([b"\xd0", b"\x30", b"\x90"]), st.binary()),
    st.tuples(st.just("ours"), st.just(b"\x40"), st.sampled_from([b"", b"\0", b"\x10", b"\x97\0"])),
    st.tuples(st.just("strange"), st.just(b"\x40"), st.sampled_from([b"", b"\0", b"\x97\x05"])),
)


@given(st.lists(PACKETS, max_size=12), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_what_comes_is_told_apart_wherever_it_is_cut(
    packets: list[tuple[str, bytes, bytes]], cuts: list[int]
) -> None:
    """Answers to our messages are told, in order and once; everything else reaches paho as it came,
    answers to nobody and damaged ones too."""
    ends = Ends()
    stream, theirs, answers = b"", b"", []
    for kind, head, rest in packets:
        if kind == "theirs":
            packet = head + varint(len(rest)) + rest
            theirs += packet
        elif kind == "ours":
            mid = ends.publish()
            packet = puback(mid, rest)
            answers.append((mid, rest[0] if rest else 0))
        else:
            packet = puback(7, rest)
            theirs += packet
        stream += packet
    at, number = 0, 0
    got = b""
    while at < len(stream):
        size = cuts[number % len(cuts)]
        ends.half.incoming.append(stream[at : at + size])
        ends.bypass.read()
        got += ends.fetch()
        at, number = at + size, number + 1
    assert got == theirs
    assert ends.answers == answers


def test_an_answer_counts_once(ends: Ends) -> None:
    """Said twice, the second is not ours."""
    mid = ends.publish()
    ends.half.incoming.append(puback(mid) * 2)
    ends.bypass.read()
    assert ends.answers == [(mid, 0)]
    assert ends.fetch() == puback(mid)


@pytest.mark.parametrize("rest", [b"\0", b"\x10\0"])
def test_over_3_1_1_an_answer_has_two_bytes(rest: bytes) -> None:
    """More is malformed there, and paho ends the connection over it."""
    ends = Ends(properties=False)
    mid = ends.publish(properties=b"")
    ends.half.incoming.append(puback(mid, rest))
    ends.bypass.read()
    assert ends.answers == []
    assert ends.fetch() == puback(mid, rest)


def test_what_is_no_mqtt_goes_to_paho(ends: Ends) -> None:
    """From a length of five bytes on everything is paho's, which says that it is nonsense."""
    mid = ends.publish()
    ends.half.incoming += [b"\x40\xff\xff\xff\xff\x01", puback(mid)]
    for _ in range(2):
        ends.bypass.read()
    assert ends.fetch() == b"\x40\xff\xff\xff\xff\x01" + puback(mid)
    assert not ends.answers


@given(
    body=st.binary(max_size=300),
    properties=st.binary(max_size=200).map(lambda data: varint(len(data)) + data),
    retain=st.booleans(),
)
def test_a_message_reads_back(body: bytes, properties: bytes, retain: bool) -> None:
    """What is written is one PUBLISH with QoS 1, whatever its length."""
    ends = Ends()
    mid = ends.bypass.publish(TOPIC, body, retain=retain, properties=properties)
    ends.bypass.write()
    written = ends.half.written
    assert written[:1] == (b"\x33" if retain else b"\x32")
    size, start = length_at(written, 1) or (0, 0)
    assert start + size == len(written)
    assert written[start:] == (
        struct.pack("!H", len(TOPIC)) + TOPIC + struct.pack("!H", mid) + properties + body
    )


def test_numbers_are_paho_s_never_and_nobody_s_twice(ends: Ends) -> None:
    """Round and round, past those that still wait for their answer, and never below 1024, where
    paho numbers its subscriptions."""
    waits = ends.publish()
    seen = []
    for _ in range(130_000):
        mid = ends.publish()
        seen.append(mid)
        ends.half.incoming.append(puback(mid))
        ends.bypass.read()
    assert min(seen) >= 1024
    assert max(seen) == 65535
    assert waits not in seen
    assert len(set(seen)) == 65535 - 1023 - 1


def test_what_does_not_fit_is_written_later_and_in_order(ends: Ends) -> None:
    """A socket that takes three bytes at a time gets the same bytes, with paho's packets where they
    were queued."""
    ends.publish(b"1" * 50)
    ends.bypass.send(b"\x82\x03abc")
    ends.publish(b"2" * 50)
    whole = b"".join(ends.bypass._out)
    for turn in range(len(whole) // 3 + 1):
        ends.half.room = 3
        ends.bypass.write()
        assert ends.half.written == whole[: 3 * turn + 3]
    assert not ends.bypass.wants_write


def test_a_fault_while_writing_keeps_what_was_not_written(ends: Ends) -> None:
    """Whoever wrote hears of it, and what was to be written is still there."""
    ends.publish()
    ends.half.broken = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        ends.bypass.write()
    ends.half.broken = None
    ends.bypass.write()
    assert len(read_all(ends.half.written)) == 1


def test_the_end_and_a_fault_reach_paho_behind_all_that_came(ends: Ends) -> None:
    """As a socket's: first the bytes, then the end, or the fault."""
    ends.half.incoming += [b"\xd0\x00", b""]
    for _ in range(2):
        ends.bypass.read()
    assert ends.bypass.recv(9) == b"\xd0\x00"
    assert ends.bypass.has_theirs
    assert ends.bypass.recv(9) == b""
    other = Ends()
    other.half.incoming += [b"\xd0\x00", ConnectionResetError()]
    for _ in range(2):
        other.bypass.read()
    assert other.bypass.recv(9) == b"\xd0\x00"
    with pytest.raises(ConnectionResetError):
        other.bypass.recv(9)


def test_only_a_plain_socket_is_written_from_elsewhere(ends: Ends) -> None:
    """A TLS connection is for one thread: there the connection's own has to write."""
    ends.publish()
    assert not ends.bypass.write_now()
    assert ends.half.written == b""
    one, other = socket.socketpair()
    plain = Bypass(one, lambda _mid, _code: None, properties=True)
    assert plain.write_now()  # nothing to write
    plain.publish(TOPIC, b"{}", retain=False, properties=b"\0")
    assert plain.write_now()
    assert len(read_all(other.recv(4096))) == 1
    plain.close()
    other.close()


def test_closing_writes_what_is_left(ends: Ends) -> None:
    """paho closes its socket with DISCONNECT, which it takes for written."""
    ends.bypass.send(b"\xe0\x00")
    ends.bypass.close()
    assert ends.half.written == b"\xe0\x00"
    assert ends.half.closed


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A broker's socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.mark.parametrize("protocol", [paho.MQTTv5, paho.MQTTv311])
def test_paho_takes_the_wire_for_its_socket(
    peer: socket.socket, protocol: MQTTProtocolVersion
) -> None:
    """What no documentation of paho's promises: its client makes its socket in `_create_socket`,
    asks it for its bytes by `recv`, gives it its own by `send`, and closes it with DISCONNECT."""
    answers: list[tuple[int, int]] = []
    client = Client(lambda mid, code: answers.append((mid, code)), protocol=protocol)
    client.on_socket_register_write = lambda *_: None
    host, port = peer.getsockname()
    client.connect(host, port)
    ours, _ = peer.accept()
    ours.settimeout(20)
    assert client.bypass is not None
    bypass: Bypass = client.bypass
    assert client.socket() is bypass
    client.loop_write()
    bypass.write()
    assert ours.recv(4096)[:1] == b"\x10"
    ours.sendall(b"\x20\x02\x00\x00" if protocol == paho.MQTTv311 else b"\x20\x03\x00\x00\x00")
    while not client.is_connected():
        bypass.read()
        if bypass.has_theirs:
            client.loop_read()
    properties = b"" if protocol == paho.MQTTv311 else b"\0"
    mid = bypass.publish(TOPIC, b"{}", retain=False, properties=properties)
    bypass.write()
    assert ours.recv(4096)[:1] == b"\x32"
    ours.sendall(puback(mid))
    while not answers:
        bypass.read()
    assert answers == [(mid, 0)]
    client.disconnect()
    client.loop_write()
    assert client.socket() is None
    assert ours.recv(4096)[:1] == b"\xe0"
    ours.close()
