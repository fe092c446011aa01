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
from edge.mqtt.diagnostics import LinkError
from edge.mqtt.events import (
    Connected,
    Connection,
    Event,
    Lost,
    Protocol_,
    PubAck,
    Received,
    Refused,
)
from tests.support.fake_broker import FakeBroker
from tests.support.mosquitto import Mosquitto, free_port

DEADLINE_S = 20.0
WILL = ("inspection/line1/status", b'{"state":"offline"}')


class Site(Protocol):
    """A broker to connect to, fake or real."""

    def link(self, on_event: Callable[[Event], None]) -> Connection: ...
    def link_to_nobody(self, on_event: Callable[[Event], None]) -> Connection: ...
    def refused_link(self, on_event: Callable[[Event], None]) -> Connection: ...
    def kill(self) -> None: ...
    def let_time_pass(self) -> None: ...


class FakeSite:
    """The fake of the publisher's tests."""

    def __init__(self) -> None:
        self._broker = FakeBroker()

    def link(self, on_event: Callable[[Event], None]) -> Connection:
        return self._broker.connect("5", WILL, on_event)

    def link_to_nobody(self, on_event: Callable[[Event], None]) -> Connection:
        self._broker.greetings = iter(["absent"])
        return self.link(on_event)

    def refused_link(self, on_event: Callable[[Event], None]) -> Connection:
        self._broker.greetings = iter(["refuse"])
        return self.link(on_event)

    def kill(self) -> None:
        self._broker.cut("killed")

    def let_time_pass(self) -> None:
        self._broker.tick()


class RealSite:
    """A mosquitto with one user."""

    def __init__(self, folder: Path, version: Protocol_) -> None:
        passwords = folder / "users"
        folder.mkdir(parents=True)
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "box", "right"], check=True)
        self._good, self._bad = folder / "good", folder / "bad"
        self._good.write_text("right\n")
        self._bad.write_text("wrong\n")
        self._version = version
        self.broker = Mosquitto(folder, "allow_anonymous false", f"password_file {passwords}")
        self.broker.start()

    def link(self, on_event: Callable[[Event], None]) -> Connection:
        return self._link(self.broker.port, self._good, on_event)

    def link_to_nobody(self, on_event: Callable[[Event], None]) -> Connection:
        return self._link(free_port(), self._good, on_event)

    def refused_link(self, on_event: Callable[[Event], None]) -> Connection:
        return self._link(self.broker.port, self._bad, on_event)

    def kill(self) -> None:
        self.broker.kill()

    def let_time_pass(self) -> None:
        time.sleep(0.01)

    def _link(self, port: int, password: Path, on_event: Callable[[Event], None]) -> Connection:
        config = MqttConfig(port=port, username="box", password_file=password)
        return PahoConnection(config, "box-1", self._version, WILL, on_event)


@pytest.fixture(params=["fake", "paho 5", "paho 3.1.1"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Fake and real."""
    if request.param == "fake":
        yield FakeSite()
        return
    real = RealSite(tmp_path / "broker", "5" if request.param == "paho 5" else "3.1.1")
    yield real
    real.broker.close()


def wait(site: Site, events: "queue.SimpleQueue[Event]") -> Event:
    """The next event, and time passes for whoever needs it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        site.let_time_pass()
        try:
            return events.get_nowait()
        except queue.Empty:
            continue
    raise AssertionError("no event came")


@pytest.fixture
def events() -> "queue.SimpleQueue[Event]":
    """Where a link's events go."""
    return queue.SimpleQueue()


def test_open_leads_to_connected(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """An accepted connection says how many messages may wait for their PUBACK."""
    link = site.link(events.put)
    link.open()
    event = wait(site, events)
    link.close()
    assert isinstance(event, Connected)
    assert event.receive_maximum >= 1


def test_each_publish_is_answered(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """Each message gets one answer, with its own mid and a success."""
    link = site.link(events.put)
    link.open()
    assert isinstance(wait(site, events), Connected)
    mids = [link.publish(f"t/{n}", b"{}", retain=n % 2 == 0) for n in range(40)]
    answers = [wait(site, events) for _ in mids]
    link.close()
    assert len(set(mids)) == 40
    assert sorted(a.mid for a in answers if isinstance(a, PubAck)) == sorted(mids)
    assert all(isinstance(a, PubAck) and a.code < 0x80 for a in answers)


def test_what_was_subscribed_to_is_received(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """Messages on a topic of the pattern come with their bytes; others do not."""
    link = site.link(events.put)
    link.open()
    assert isinstance(wait(site, events), Connected)
    link.subscribe("s/request/+")
    for topic, body in (("s/other", b"no"), ("s/request/trigger", b"\xffyes")):
        link.publish(topic, body, retain=False)
    came = [wait(site, events) for _ in range(3)]
    link.close()
    received = [e for e in came if isinstance(e, Received)]
    assert received == [Received("s/request/trigger", b"\xffyes", retained=False)]


def test_nothing_comes_after_close(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """close is silent: neither a loss nor a late answer disturbs the next connection."""
    link = site.link(events.put)
    link.open()
    assert isinstance(wait(site, events), Connected)
    link.publish("t", b"{}", retain=False)
    link.close()
    while not events.empty():
        assert isinstance(events.get(), PubAck)
    site.kill()
    for _ in range(20):
        site.let_time_pass()
    assert events.empty()


def test_close_may_come_at_any_time(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """A link that never opened, or is closed already, can be closed."""
    link = site.link(events.put)
    link.close()
    link.close()
    assert events.empty()


def test_a_broker_that_dies_is_lost(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """The loss is told, and sending afterwards is an error, not a silent queue."""
    link = site.link(events.put)
    link.open()
    assert isinstance(wait(site, events), Connected)
    site.kill()
    event = wait(site, events)
    assert isinstance(event, Lost)
    with pytest.raises(LinkError, match="cannot send"):
        link.publish("t", b"{}", retain=False)
    with pytest.raises(LinkError, match="cannot subscribe"):
        link.subscribe("t/+")
    link.close()


def test_no_broker_is_an_error(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """Nobody at the address is a LinkError with a sentence."""
    link = site.link_to_nobody(events.put)
    with pytest.raises(LinkError, match="no broker answers"):
        link.open()
    link.close()


def test_a_refusal_is_refused(site: Site, events: "queue.SimpleQueue[Event]") -> None:
    """A wrong password is an answer, not a connection, and not the wrong version."""
    link = site.refused_link(events.put)
    link.open()
    event = wait(site, events)
    link.close()
    assert isinstance(event, Refused)
    assert not event.wrong_version
    assert "refuses" in event.why


def test_an_unreadable_password_is_named(tmp_path: Path) -> None:
    """A password file that has gone is blamed by its key, not the broker."""
    config = MqttConfig(port=free_port(), username="box", password_file=tmp_path / "gone")
    link = PahoConnection(config, "box-1", "5", WILL, lambda _event: None)
    with pytest.raises(LinkError, match=r"mqtt\.password_file"):
        link.open()
    link.close()


def test_refusals_name_the_user_and_the_mend(tmp_path: Path) -> None:
    """The sentence for a wrong password says which user, and what to check."""
    site = RealSite(tmp_path / "broker", "5")
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    link = site.refused_link(events.put)
    link.open()
    event = wait(site, events)
    link.close()
    site.broker.close()
    assert isinstance(event, Refused)
    assert "the user 'box'" in event.why
    assert "mqtt.password_file" in event.why
