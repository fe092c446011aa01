"""The promises of `Connection`, over the fake and over paho-mqtt with a real mosquitto."""

import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from edge.config import MqttConfig
from edge.mqtt.connection import PahoConnection
from edge.mqtt.diagnostics import BrokerConnectionError
from edge.mqtt.events import (
    Connected,
    Connection,
    Event,
    Lost,
    MqttVersion,
    PubAck,
    Received,
    Refused,
)
from tests.support.fake_broker import FakeBroker
from tests.support.mosquitto import Mosquitto, free_port

DEADLINE_S = 20.0
WILL = ("inspection/line1/status", b'{"state":"offline"}')


class Target(Protocol):
    """A broker to connect to, fake or real."""

    def connection(self, on_event: Callable[[Event], None]) -> Connection: ...
    def connection_without_broker(self, on_event: Callable[[Event], None]) -> Connection: ...
    def refused_connection(self, on_event: Callable[[Event], None]) -> Connection: ...
    def kill(self) -> None: ...
    def let_time_pass(self) -> None: ...


class FakeTarget:
    """The fake broker of the publisher's tests."""

    def __init__(self) -> None:
        self._broker = FakeBroker()

    def connection(self, on_event: Callable[[Event], None]) -> Connection:
        return self._broker.connect("5", WILL, on_event)

    def connection_without_broker(self, on_event: Callable[[Event], None]) -> Connection:
        self._broker.greetings = iter(["absent"])
        return self.connection(on_event)

    def refused_connection(self, on_event: Callable[[Event], None]) -> Connection:
        self._broker.greetings = iter(["refuse"])
        return self.connection(on_event)

    def kill(self) -> None:
        self._broker.cut("killed")

    def let_time_pass(self) -> None:
        self._broker.tick()


class MosquittoTarget:
    """A mosquitto with one user."""

    def __init__(self, folder: Path, version: MqttVersion) -> None:
        passwords = folder / "users"
        folder.mkdir(parents=True)
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "box", "right"], check=True)
        self._good, self._bad = folder / "good", folder / "bad"
        self._good.write_text("right\n")
        self._bad.write_text("wrong\n")
        self._version = version
        self.broker = Mosquitto(folder, "allow_anonymous false", f"password_file {passwords}")
        self.broker.start()

    def connection(self, on_event: Callable[[Event], None]) -> Connection:
        return self._connect(self.broker.port, self._good, on_event)

    def connection_without_broker(self, on_event: Callable[[Event], None]) -> Connection:
        return self._connect(free_port(), self._good, on_event)

    def refused_connection(self, on_event: Callable[[Event], None]) -> Connection:
        return self._connect(self.broker.port, self._bad, on_event)

    def kill(self) -> None:
        self.broker.kill()

    def let_time_pass(self) -> None:
        time.sleep(0.01)

    def _connect(self, port: int, password: Path, on_event: Callable[[Event], None]) -> Connection:
        config = MqttConfig(port=port, username="box", password_file=password)
        return PahoConnection(config, "box-1", self._version, WILL, on_event)


@pytest.fixture(params=["fake", "paho 5", "paho 3.1.1"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """The fake broker, and mosquitto with both versions of MQTT."""
    if request.param == "fake":
        yield FakeTarget()
        return
    real = MosquittoTarget(tmp_path / "broker", "5" if request.param == "paho 5" else "3.1.1")
    yield real
    real.broker.close()


def wait(target: Target, events: "queue.SimpleQueue[Event]") -> Event:
    """The next event; virtual time passes until it comes."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        target.let_time_pass()
        try:
            return events.get_nowait()
        except queue.Empty:
            continue
    raise AssertionError("no event came")


@pytest.fixture
def events() -> "queue.SimpleQueue[Event]":
    """Receives the events of a connection."""
    return queue.SimpleQueue()


def test_open_leads_to_connected(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """An accepted connection says how many messages may wait for their PUBACK."""
    connection = target.connection(events.put)
    connection.open()
    event = wait(target, events)
    connection.close()
    assert isinstance(event, Connected)
    assert event.receive_maximum >= 1


@pytest.mark.slow
def test_each_publish_is_answered(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """Each message gets one answer, with its own mid and a success."""
    connection = target.connection(events.put)
    connection.open()
    assert isinstance(wait(target, events), Connected)
    mids = [connection.publish(f"t/{n}", b"{}", retain=n % 2 == 0) for n in range(40)]
    answers = [wait(target, events) for _ in mids]
    connection.close()
    assert len(set(mids)) == 40
    assert sorted(a.mid for a in answers if isinstance(a, PubAck)) == sorted(mids)
    assert all(isinstance(a, PubAck) and a.code < 0x80 for a in answers)


def test_subscribed_topics_are_received(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """Messages on a topic of the pattern come with their bytes; others do not."""
    connection = target.connection(events.put)
    connection.open()
    assert isinstance(wait(target, events), Connected)
    connection.subscribe("s/request/+")
    for topic, body in (("s/other", b"no"), ("s/request/trigger", b"\xffyes")):
        connection.publish(topic, body, retain=False)
    came = [wait(target, events) for _ in range(3)]
    connection.close()
    received = [e for e in came if isinstance(e, Received)]
    assert received == [Received("s/request/trigger", b"\xffyes", retained=False)]


def test_nothing_comes_after_close(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """After close no event comes, so none disturbs the next connection."""
    connection = target.connection(events.put)
    connection.open()
    assert isinstance(wait(target, events), Connected)
    connection.publish("t", b"{}", retain=False)
    connection.close()
    while not events.empty():
        assert isinstance(events.get(), PubAck)
    target.kill()
    for _ in range(20):
        target.let_time_pass()
    assert events.empty()


def test_close_may_come_at_any_time(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """A connection that never opened, or is closed already, can be closed."""
    connection = target.connection(events.put)
    connection.close()
    connection.close()
    assert events.empty()


def test_a_broker_that_dies_is_lost(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """The loss is an event, and sending afterwards is an error."""
    connection = target.connection(events.put)
    connection.open()
    assert isinstance(wait(target, events), Connected)
    target.kill()
    event = wait(target, events)
    assert isinstance(event, Lost)
    with pytest.raises(BrokerConnectionError, match="cannot send"):
        connection.publish("t", b"{}", retain=False)
    with pytest.raises(BrokerConnectionError, match="cannot subscribe"):
        connection.subscribe("t/+")
    connection.close()


def test_no_broker_is_an_error(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """An address without a broker raises BrokerConnectionError with a sentence."""
    connection = target.connection_without_broker(events.put)
    with pytest.raises(BrokerConnectionError, match="no broker answers"):
        connection.open()
    connection.close()


def test_a_refusal_is_refused(target: Target, events: "queue.SimpleQueue[Event]") -> None:
    """A wrong password is an answer, not a connection, and not the wrong version."""
    connection = target.refused_connection(events.put)
    connection.open()
    event = wait(target, events)
    connection.close()
    assert isinstance(event, Refused)
    assert not event.wrong_version
    assert "refuses" in event.why


def test_an_unreadable_password_is_named(tmp_path: Path) -> None:
    """The sentence for a missing password file names its key."""
    config = MqttConfig(port=free_port(), username="box", password_file=tmp_path / "gone")
    connection = PahoConnection(config, "box-1", "5", WILL, lambda _event: None)
    with pytest.raises(BrokerConnectionError, match=r"mqtt\.password_file"):
        connection.open()
    connection.close()


def test_refusals_name_the_user_and_the_fix(tmp_path: Path) -> None:
    """The sentence for a wrong password names the user and the key to check."""
    target = MosquittoTarget(tmp_path / "broker", "5")
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    connection = target.refused_connection(events.put)
    connection.open()
    event = wait(target, events)
    connection.close()
    target.broker.close()
    assert isinstance(event, Refused)
    assert "the user 'box'" in event.why
    assert "mqtt.password_file" in event.why
