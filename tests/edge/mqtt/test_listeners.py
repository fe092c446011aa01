"""Who hears us: the bookkeeping, and the embedded broker that feeds it."""

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
    ("pattern", "hears"),
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
def test_a_subscription_hears_what_its_filter_matches(pattern: str, hears: bool) -> None:
    """Only a filter that matches the topic counts, wildcards included."""
    listeners = SubscriberTable()
    listeners.connected("plc", clean=True)
    listeners.subscribed("plc", pattern)
    assert listeners.any(TOPIC) is hears


def test_who_has_gone_does_not_hear() -> None:
    """A client that is away hears nothing, also when its session is kept."""
    listeners = SubscriberTable()
    listeners.connected("plc", clean=False)
    listeners.subscribed("plc", TOPIC)
    listeners.disconnected("plc")
    assert not listeners.any(TOPIC)
    listeners.connected("plc", clean=False)
    assert listeners.any(TOPIC)


def test_a_clean_session_forgets() -> None:
    """A client that comes back with a clean session must subscribe again."""
    listeners = SubscriberTable()
    listeners.connected("plc", clean=True)
    listeners.subscribed("plc", TOPIC)
    listeners.disconnected("plc")
    listeners.connected("plc", clean=True)
    assert not listeners.any(TOPIC)


def test_unsubscribing_counts() -> None:
    """The last matching filter that goes takes the hearing with it."""
    listeners = SubscriberTable()
    listeners.connected("plc", clean=True)
    listeners.subscribed("plc", TOPIC)
    listeners.subscribed("plc", "#")
    listeners.unsubscribed("plc", TOPIC)
    assert listeners.any(TOPIC)
    listeners.unsubscribed("plc", "#")
    assert not listeners.any(TOPIC)


def test_a_takeover_is_not_a_departure() -> None:
    """When a second connection with the same client id comes before the first goes, it hears."""
    listeners = SubscriberTable()
    listeners.connected("plc", clean=False)
    listeners.subscribed("plc", TOPIC)
    listeners.connected("plc", clean=False)
    listeners.disconnected("plc")
    assert listeners.any(TOPIC)
    listeners.disconnected("plc")
    assert not listeners.any(TOPIC)


def test_changes_wake_the_publisher() -> None:
    """Coming and subscribing are announced, since rows may now be sent."""
    calls: list[int] = []
    listeners = SubscriberTable(lambda: calls.append(1))
    listeners.connected("plc", clean=True)
    listeners.subscribed("plc", TOPIC)
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
    """A connected MQTT 3.1.1 client in a thread of its own."""
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


def test_the_broker_tells_who_listens(broker: tuple[EmbeddedBroker, int]) -> None:
    """A real subscriber is seen when it subscribes, and no more when it has gone."""
    embedded, port = broker
    plc = client(port, "plc")
    assert not embedded.listeners.any(TOPIC)
    plc.subscribe("inspection/#", qos=1)
    wait_until(lambda: embedded.listeners.any(TOPIC))
    plc.disconnect()
    wait_until(lambda: not embedded.listeners.any(TOPIC))
    plc.loop_stop()


def test_a_persistent_session_listens_on_its_return(broker: tuple[EmbeddedBroker, int]) -> None:
    """A persistent subscriber that comes back hears again without subscribing again."""
    embedded, port = broker
    plc = client(port, "plc", clean=False)
    plc.subscribe(TOPIC, qos=1)
    wait_until(lambda: embedded.listeners.any(TOPIC))
    plc.disconnect()
    wait_until(lambda: not embedded.listeners.any(TOPIC))
    plc.loop_stop()
    again = client(port, "plc", clean=False)
    wait_until(lambda: embedded.listeners.any(TOPIC))
    again.disconnect()
    again.loop_stop()


def test_a_taken_port_is_a_sentence() -> None:
    """A port in use is named with the three ways out, and nothing is left running."""
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
