"""What MQTT 5 carries beside the body, through a real mosquitto."""

import queue
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.config import MqttConfig
from edge.delivery.announcements import Announcements
from edge.delivery.events import About, Answered, Connected, Event, Received, ReplyTo
from edge.delivery.link import PahoLink
from edge.delivery.message import about_result, sent_body, stored_body
from edge.delivery.properties import packed
from tests.edge.delivery.samples import a_verdict
from tests.system.mosquitto import Mosquitto


def test_a_result_carries_its_properties(tmp_path: Path) -> None:
    """Content type, format, user properties and expiry arrive as they were sent."""
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    link = PahoLink(MqttConfig(port=broker.port), "box", "5", None, events.put)
    seen: queue.SimpleQueue[object] = queue.SimpleQueue()
    hear = link._client.on_message
    assert hear is not None

    def also(client: object, data: object, message: object) -> None:
        seen.put(message)
        hear(client, data, message)  # type: ignore[arg-type]  # paho's own types, handed on

    link._client.on_message = also
    try:
        link.open()
        assert isinstance(events.get(timeout=20), Connected)
        link.subscribe("t/#")
        body = sent_body(stored_body(a_verdict(), 1), replayed=True)
        link.publish("t/result", body, retain=False, about=about_result(body, 3600.9))
        link.flush()
        got = [events.get(timeout=20) for _ in range(2)]
        assert {type(event) for event in got} == {Answered, Received}
        properties = seen.get(timeout=20).properties  # type: ignore[attr-defined]
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
    finally:
        link.close()
        broker.close()


def test_expiry_is_never_negative() -> None:
    """A row past its age is given a second, not the past."""
    body = sent_body(stored_body(a_verdict(), 1), replayed=True)
    assert about_result(body, -5.0).expiry_s == 1


@given(
    user=st.dictionaries(st.text(max_size=40), st.text(max_size=300), max_size=5),
    expiry_s=st.none() | st.integers(-5, 2**33),
    correlation=st.none() | st.binary(max_size=200),
)
def test_packed_as_paho_packs_them(
    user: dict[str, str], expiry_s: int | None, correlation: bytes | None
) -> None:
    """Our bytes are those that paho's own properties give, whatever stands in them."""
    theirs = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    theirs.PayloadFormatIndicator = 1
    theirs.ContentType = "application/json"
    if user:
        theirs.UserProperty = list(user.items())
    if expiry_s is not None:
        theirs.MessageExpiryInterval = max(1, min(expiry_s, 2**32 - 1))
    if correlation is not None:
        theirs.CorrelationData = correlation
    ours = packed(About(user=tuple(user.items()), expiry_s=expiry_s, correlation=correlation))
    assert ours == theirs.pack()  # type: ignore[no-untyped-call]  # paho's


def test_a_property_that_mqtt_has_no_room_for_is_refused() -> None:
    """More than 65535 bytes would be cut, and the packet with it."""
    with pytest.raises(ValueError, match="65536 bytes"):
        packed(About(correlation=bytes(65536)))


def test_answers_go_where_the_request_may_ask() -> None:
    """Always on response/<name>; besides only below `response/` of this box, with the requester's
    correlation data."""
    for topic, served in (
        ("p/s/response/mine", True),
        ("p/s/result", False),
        ("p/s/response/+", False),
        ("elsewhere", False),
        (None, False),
    ):
        says = Announcements("p/s")
        says.reply("trigger", b"{}", ReplyTo(topic, b"\x01"))
        said = list(says.take(9))
        assert said[0].topic == "p/s/response/trigger"
        assert [s.topic for s in said[1:]] == ([topic] if served else [])
        assert all(s.about.correlation == b"\x01" and not s.retain for s in said)
