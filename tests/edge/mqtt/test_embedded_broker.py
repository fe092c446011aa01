"""The subscriber table, and the embedded broker that fills it."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

pytest.importorskip("amqtt", reason="amqtt is not installed; pip install '.[broker]'")

from edge.core.errors import EdgeInspectError
from edge.mqtt.embedded_broker import EmbeddedBroker, SubscriberTable
from tests.campaigns.hostile_packets import hostile_packet
from tests.support import packets
from tests.support.mosquitto import free_port
from tests.support.waiting import wait_until

TOPIC = "inspection/line1/result"
DEADLINE_S = 20.0


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (TOPIC, True),
        ("inspection/#", True),
        ("inspection/+/result", True),
        ("#", True),
        ("inspection/line2/result", False),
        ("inspection/line1/status", False),
        ("inspection/line1", False),
    ],
)
def test_a_subscription_counts_for_the_topics_of_its_filter(pattern: str, matches: bool) -> None:
    """Only a filter that matches the topic counts, wildcards included."""
    table = SubscriberTable()
    table.connected("plc", clean=True)
    table.subscribed("plc", pattern)
    assert table.any(TOPIC) is matches


def test_a_disconnected_client_does_not_count() -> None:
    """A client that is not connected does not count, also with a persistent session."""
    table = SubscriberTable()
    table.connected("plc", clean=False)
    table.subscribed("plc", TOPIC)
    table.disconnected("plc")
    assert not table.any(TOPIC)
    table.connected("plc", clean=False)
    assert table.any(TOPIC)


def test_a_clean_session_forgets() -> None:
    """A client that returns with a clean session must subscribe again."""
    table = SubscriberTable()
    table.connected("plc", clean=True)
    table.subscribed("plc", TOPIC)
    table.disconnected("plc")
    table.connected("plc", clean=True)
    assert not table.any(TOPIC)


def test_unsubscribing_counts() -> None:
    """Without its last matching filter a client does not count."""
    table = SubscriberTable()
    table.connected("plc", clean=True)
    table.subscribed("plc", TOPIC)
    table.subscribed("plc", "#")
    table.unsubscribed("plc", TOPIC)
    assert table.any(TOPIC)
    table.unsubscribed("plc", "#")
    assert not table.any(TOPIC)


def test_a_takeover_is_not_a_departure() -> None:
    """A second connection with the same client id keeps the subscriptions of the first."""
    table = SubscriberTable()
    table.connected("plc", clean=False)
    table.subscribed("plc", TOPIC)
    table.connected("plc", clean=False)
    table.disconnected("plc")
    assert table.any(TOPIC)
    table.disconnected("plc")
    assert not table.any(TOPIC)


def test_changes_wake_the_publisher() -> None:
    """Connecting and subscribing call `on_change`, because rows may now be sent."""
    calls: list[int] = []
    table = SubscriberTable(lambda: calls.append(1))
    table.connected("plc", clean=True)
    table.subscribed("plc", TOPIC)
    assert len(calls) == 2


@pytest.fixture
def broker() -> Iterator[tuple[EmbeddedBroker, int]]:
    """A running embedded broker and its port."""
    port = free_port()
    running = EmbeddedBroker("127.0.0.1", port)
    running.start()
    yield running, port
    running.stop()


def client(port: int, name: str, *, clean: bool = True) -> paho.Client:
    """A connected MQTT 3.1.1 client with its own thread."""
    made = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        clean_session=clean,
        reconnect_on_failure=False,
    )
    up = threading.Event()

    def connected(_c: Any, _d: Any, _f: Any, _code: Any, _p: Any) -> None:
        up.set()

    made.on_connect = connected
    made.connect("127.0.0.1", port)
    made.loop_start()
    assert up.wait(DEADLINE_S)
    return made


def test_the_broker_reports_its_subscribers(broker: tuple[EmbeddedBroker, int]) -> None:
    """A real subscriber counts from its subscription until it disconnects."""
    embedded, port = broker
    plc = client(port, "plc")
    assert not embedded.subscribers.any(TOPIC)
    plc.subscribe("inspection/#", qos=1)
    wait_until(lambda: embedded.subscribers.any(TOPIC))
    plc.disconnect()
    wait_until(lambda: not embedded.subscribers.any(TOPIC))
    plc.loop_stop()


def test_a_persistent_session_counts_on_its_return(broker: tuple[EmbeddedBroker, int]) -> None:
    """A persistent subscriber counts again when it connects, without a new subscription."""
    embedded, port = broker
    plc = client(port, "plc", clean=False)
    plc.subscribe(TOPIC, qos=1)
    wait_until(lambda: embedded.subscribers.any(TOPIC))
    plc.disconnect()
    wait_until(lambda: not embedded.subscribers.any(TOPIC))
    plc.loop_stop()
    again = client(port, "plc", clean=False)
    wait_until(lambda: embedded.subscribers.any(TOPIC))
    again.disconnect()
    again.loop_stop()


def test_a_taken_port_is_a_sentence() -> None:
    """The sentence for a taken port names it and the three solutions."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EdgeInspectError, match=f"127.0.0.1:{port}.*mqtt.embedded: false"):
            EmbeddedBroker("127.0.0.1", port).start()


def test_stop_frees_the_port(broker: tuple[EmbeddedBroker, int]) -> None:
    """After stop another broker can start on the same port."""
    embedded, port = broker
    embedded.stop()
    again = EmbeddedBroker("127.0.0.1", port)
    again.start()
    again.stop()


def test_clients_that_were_there_once_cost_nothing() -> None:
    """After 20,000 clients that subscribed once, the question before each verdict takes no longer
    than before, and their subscriptions are not kept."""
    table = SubscriberTable()
    for number in range(20_000):
        table.connected(f"once{number}", clean=number % 2 == 0)
        table.subscribed(f"once{number}", TOPIC)
        table.disconnected(f"once{number}")
    started = time.process_time()
    for _ in range(100):
        assert not table.any(TOPIC)
    assert time.process_time() - started < 0.1
    table.connected("once0", clean=False)
    assert not table.any(TOPIC)


@pytest.mark.slow
def test_a_client_that_does_not_read_is_disconnected(
    broker: tuple[EmbeddedBroker, int], caplog: pytest.LogCaptureFixture
) -> None:
    """A subscriber that stops reading is disconnected in seconds, with a line in the log; others
    still get their messages."""
    embedded, port = broker
    with socket.create_connection(("127.0.0.1", port)) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.sendall(packets.connect("stalled", 60) + packets.subscribe(1, TOPIC))
        wait_until(lambda: embedded.subscribers.any(TOPIC))
        sender = client(port, "sender")
        for _ in range(60):
            sender.publish(TOPIC, bytes(200_000), qos=0)
        wait_until(lambda: not embedded.subscribers.any(TOPIC), "the end of the stalled one", 60)
    assert "it has not read for" in caplog.text
    got = threading.Event()
    sender.on_message = lambda *_: got.set()
    sender.subscribe(TOPIC)
    wait_until(lambda: embedded.subscribers.any(TOPIC))
    sender.publish(TOPIC, b"{}", qos=1)
    assert got.wait(DEADLINE_S)
    sender.disconnect()
    sender.loop_stop()


def test_a_packet_that_is_too_long_is_refused_by_its_length(
    broker: tuple[EmbeddedBroker, int], caplog: pytest.LogCaptureFixture
) -> None:
    """A PUBLISH of 200 MB ends the connection before its body comes."""
    _embedded, port = broker
    with socket.create_connection(("127.0.0.1", port), 20) as hostile:
        hostile.sendall(packets.connect("hostile", 60))
        assert hostile.recv(4)[0] == packets.CONNACK << 4
        hostile.sendall(b"\x30\x80\xa0\xaf\x5f" + b"\x00\x01t" + bytes(1000))
        with contextlib.suppress(ConnectionResetError):
            while hostile.recv(4096):
                pass
    assert "at most" in caplog.text


@pytest.mark.slow
def test_hostile_packets_give_no_traceback(
    broker: tuple[EmbeddedBroker, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Clients that send what is not MQTT: the broker serves others, and logs no traceback."""
    _embedded, port = broker
    rng = random.Random(5)
    for _ in range(150):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
            if rng.random() < 0.7:
                peer.sendall(packets.connect("hostile", 60))
            peer.settimeout(0.02)
            peer.sendall(hostile_packet(rng)[1] + hostile_packet(rng)[1])
            peer.recv(100)
    other = client(port, "other")
    assert other.publish(TOPIC, b"{}", qos=1).rc == 0
    other.disconnect()
    other.loop_stop()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
