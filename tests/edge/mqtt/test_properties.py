"""The properties of MQTT 5, through a real mosquitto."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.config import MqttConfig
from edge.core.messages import MessageProperties, result_properties, sent_body, stored_body
from edge.mqtt.connection import PahoConnection
from edge.mqtt.events import Connected, Event, PubAck, ReplyTo
from edge.mqtt.retained import RetainedTopics
from tests.support.mosquitto import Mosquitto
from tests.support.verdicts import a_verdict

DEADLINE_S = 20


class BrokerWithSubscriber:
    """A broker, our connection to it, and a subscriber of the plant."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.broker = Mosquitto(folder, *lines)
        self.broker.start()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.seen: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
        self.connection = PahoConnection(
            MqttConfig(port=self.broker.port), "box", "5", None, self.events.put
        )
        self.connection.open()
        assert isinstance(self.events.get(timeout=DEADLINE_S), Connected)
        subscribed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id="plant"
        )
        client.on_subscribe = lambda *_: subscribed.put(None)
        client.on_message = lambda _client, _data, message: self.seen.put(message)
        client.connect("127.0.0.1", self.broker.port)
        client.subscribe("t/#", qos=1)
        client.loop_start()
        subscribed.get(timeout=DEADLINE_S)

    def send(self, body: bytes, about: MessageProperties | None) -> Any:
        """Publishes a message; returns the properties with which it arrives."""
        self.connection.publish("t/result", body, retain=False, about=about)
        assert isinstance(self.events.get(timeout=DEADLINE_S), PubAck)
        return self.seen.get(timeout=DEADLINE_S).properties

    def close(self) -> None:
        """Ends all three."""
        self.connection.close()
        self._client.loop_stop()
        self.broker.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[BrokerWithSubscriber]:
    """Ends with the test."""
    made = BrokerWithSubscriber(tmp_path / "broker")
    yield made
    made.close()


@pytest.mark.slow
def test_a_result_carries_its_properties(plant: BrokerWithSubscriber) -> None:
    """Content type, format, user properties and expiry arrive as they were sent, also when the
    next result has the same ones."""
    body = sent_body(stored_body(a_verdict(), 1), replayed=True)
    for _ in range(2):
        properties = plant.send(body, result_properties(body, 3600.9))
        assert properties.ContentType == "application/json"
        assert properties.PayloadFormatIndicator == 1
        assert dict(properties.UserProperty) == {
            "schema": "edge-inspect/result/1",
            "station": "line1",
            "camera": "top",
            "verdict": "fail",
            "replayed": "true",
        }
        assert 3590 <= properties.MessageExpiryInterval <= 3600


@pytest.mark.slow
@pytest.mark.parametrize(("expiry_s", "least"), [(-5, 1), (0, 1), (2**33, 2**32 - 100)])
def test_an_expiry_is_one_that_mqtt_can_state(
    plant: BrokerWithSubscriber, expiry_s: int, least: int
) -> None:
    """Seconds outside MQTT's range are clamped; correlation data arrives as bytes."""
    properties = plant.send(b"{}", MessageProperties(expiry_s=expiry_s, correlation=b"\0\xff"))
    assert least <= properties.MessageExpiryInterval <= max(least, 2**32 - 1)
    assert properties.CorrelationData == b"\0\xff"
    assert not hasattr(properties, "UserProperty")


@pytest.mark.slow
def test_a_message_without_properties(plant: BrokerWithSubscriber) -> None:
    """Nothing is added to it."""
    assert not hasattr(plant.send(b"{}", None), "ContentType")


def test_expiry_is_never_negative() -> None:
    """The expiry of a row that is too old is one second."""
    body = sent_body(stored_body(a_verdict(), 1), replayed=True)
    assert result_properties(body, -5.0).expiry_s == 1


def test_answers_go_where_the_request_may_ask() -> None:
    """A reply goes to response/<name>, and to another topic only below `response/` of this box. It
    carries the request's correlation data."""
    for topic, served in (
        ("p/s/response/mine", True),
        ("p/s/result", False),
        ("p/s/response/+", False),
        ("elsewhere", False),
        (None, False),
    ):
        topics = RetainedTopics("p/s")
        topics.reply("trigger", b"{}", ReplyTo(topic, b"\x01"))
        sent = list(iter(topics.next, None))
        assert sent[0].topic == "p/s/response/trigger"
        assert [message.topic for message in sent[1:]] == ([topic] if served else [])
        assert all(message.about.correlation == b"\x01" for message in sent)
        assert not any(message.retain for message in sent)
