"""The subscriber table, and the embedded broker that fills it."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

pytest.importorskip("amqtt", reason="amqtt is not installed; pip install '.[broker]'")

from edge.core.errors import EdgeInspectError
from edge.mqtt.embedded_broker import EmbeddedBroker, SubscriberTable
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
