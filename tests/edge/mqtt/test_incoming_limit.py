"""What a broker answers that is too long, or not MQTT."""

import queue
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge.config import MqttConfig
from edge.mqtt.connection import PahoConnection
from edge.mqtt.events import MALFORMED, Connected, Event, Lost, MqttVersion, PubAck, Refused
from edge.mqtt.incoming_limit import MAX_INCOMING, limit_reads
from tests.campaigns.fuzz import hostile_connections
from tests.campaigns.hostile_packets import packet

TOPIC = b"inspection/line1/request/trigger"
CONNACKS: dict[MqttVersion, bytes] = {
    "5": bytes.fromhex("2003000000"),
    "3.1.1": bytes.fromhex("20020000"),
}


@contextmanager
def connected(
    version: MqttVersion, connack: bytes | None = None
) -> Iterator[tuple[PahoConnection, socket.socket, "queue.SimpleQueue[Event]", bytes]]:
    """A connection, the broker's end of it, its events, and its CONNECT."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = MqttConfig(port=server.getsockname()[1])
        connection = PahoConnection(config, "box", version, None, events.put)
        connection.open()
        peer, _ = server.accept()
        with peer:
            connect = peer.recv(1024)
            peer.sendall(connack or CONNACKS[version])
            yield connection, peer, events, connect
        connection.close()


def publish(payload: bytes, version: MqttVersion) -> bytes:
    """A PUBLISH with QoS 0 for TOPIC."""
    properties = b"\0" if version == "5" else b""
    return packet(0x30, len(TOPIC).to_bytes(2, "big") + TOPIC + properties + payload)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_long_message_is_refused_by_its_length(version: MqttVersion) -> None:
    """The header of a PUBLISH of 120 MB is enough; the end of the connection names the topic."""
    with connected(version) as (_connection, peer, events, _):
        assert isinstance(events.get(timeout=20), Connected)
        peer.sendall(publish(b"", version)[:1] + b"\x80\x9c\x9c\x39")  # 120 MB
        peer.sendall(publish(b"x" * 1000, version)[3:])
        lost = events.get(timeout=20)
    assert isinstance(lost, Lost)
    assert lost.too_long_on == TOPIC.decode()
    assert f"at most {MAX_INCOMING} are taken" in lost.why


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_message_up_to_the_limit_is_read(version: MqttVersion) -> None:
    """Its bytes may come in pieces."""
    with connected(version) as (_connection, peer, events, _):
        events.get(timeout=20)
        peer.sendall(publish(b"x" * (MAX_INCOMING - 100), version))
        message = events.get(timeout=20)
    assert not isinstance(message, Lost), message


def test_the_broker_is_told_our_limit() -> None:
    """MQTT 5: Maximum Packet Size (0x27) stands in CONNECT."""
    with connected("5") as (_connection, _peer, _events, connect):
        assert b"\x27" + MAX_INCOMING.to_bytes(4, "big") in connect


def test_an_undefined_reason_ends_the_connection_with_a_code() -> None:
    """paho cannot read a PUBACK with a code that MQTT 5 does not define."""
    with connected("5") as (connection, peer, events, _):
        events.get(timeout=20)
        mid = connection.publish("t", b"{}", retain=False)
        peer.recv(1024)
        peer.sendall(packet(0x40, mid.to_bytes(2, "big") + b"\x42"))
        event = events.get(timeout=20)
    assert isinstance(event, Lost)
    assert event.code == MALFORMED


@pytest.mark.parametrize("code", [1, 2, 4, 5])
def test_a_refusal_in_the_form_of_the_other_version_is_no_connection(code: int) -> None:
    """A broker that answers version 5 with a CONNACK of 3.1.1."""
    with connected("5", bytes([0x20, 2, 0, code])) as (_connection, _peer, events, _):
        assert isinstance(events.get(timeout=20), Lost | Refused)


def test_any_socket_can_be_limited() -> None:
    """A socket with a limit still sends and receives."""
    one, other = socket.socketpair()
    with one, other:
        limit_reads(one)
        other.sendall(b"x" * 10)
        assert one.recv(10) == b"x" * 10
        other.sendall(b"\x00\x03a/b")
        with pytest.raises(OSError, match=r"a message of 200000 bytes on a/b"):
            one.recv(200_000)


def test_an_acknowledgement_still_comes() -> None:
    """The limit changes nothing for small packets."""
    with connected("5") as (connection, peer, events, _):
        events.get(timeout=20)
        mid = connection.publish("t", b"{}", retain=False)
        peer.recv(1024)
        peer.sendall(packet(0x40, mid.to_bytes(2, "big")))
        assert events.get(timeout=20) == PubAck(mid, 0, "Success")


@pytest.mark.slow
def test_hostile_packets_end_the_connection_without_a_fault() -> None:
    """Whatever a broker sends, the connection ends with a reason, and nothing is logged as a fault
    of ours."""
    assert hostile_connections(150, seed=3) == []
