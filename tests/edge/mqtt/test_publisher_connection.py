"""How the publisher connects, publishes its status, disconnects and waits."""

from collections.abc import Iterator
from itertools import chain, cycle, islice, repeat

import pytest

from edge.mqtt.failover import Backoff
from tests.edge.mqtt.conftest import Simulate
from tests.edge.mqtt.virtual_time import SESSION
from tests.support.fake_broker import ACCEPT, FakeBroker, Greeting


def then(*first: Greeting) -> Iterator[Greeting]:
    """These greetings, then acceptance for ever."""
    return chain(first, repeat(ACCEPT))


@pytest.mark.parametrize("bad", ["wrong version", "silent", "hang up"])
def test_auto_tries_the_other_version(simulate: Simulate, bad: Greeting) -> None:
    """After a failure with MQTT 5 the next attempt uses 3.1.1, and the one after it 5."""
    w = simulate(1, FakeBroker(greetings=then(bad, bad, bad)))
    w.play()
    assert w.broker.versions == ["5", "3.1.1", "5", "3.1.1"]
    assert w.acks.accepted == [1]


@pytest.mark.parametrize("bad", ["refuse", "absent"])
def test_other_failures_keep_the_version(simulate: Simulate, bad: Greeting) -> None:
    """A wrong password or an absent broker is no reason to change the version."""
    w = simulate(1, FakeBroker(greetings=then(bad, bad)))
    w.play()
    assert w.broker.versions == ["5", "5", "5"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_fixed_version_is_kept(simulate: Simulate, version: str) -> None:
    """A version that config.yaml fixes is never changed."""
    w = simulate(1, FakeBroker(greetings=then("wrong version", "silent")), version=version)
    w.play()
    assert set(w.broker.versions) == {version}


def test_a_refusal_is_not_a_connection(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    """After a refused CONNACK nothing is sent, one line is logged, and the state is not online."""
    states: list[str] = []
    broker = FakeBroker(greetings=then("refuse", "refuse", "refuse"))
    w = simulate(1, broker)
    step = broker.on_step

    def watch() -> None:
        if broker.connections <= 3:
            states.append(w.publisher.state)
            assert broker.arrived == []
        step()

    broker.on_step = watch
    w.play()
    assert "online" not in states
    assert "refused" in states
    assert caplog.text.count("refuses no user name") == 1
    assert w.acks.accepted == [1]
    assert w.publisher.why == ""


def test_the_will_carries_this_session(simulate: Simulate) -> None:
    """Each connection's will is `offline` with the session that `online` has."""
    w = simulate(3, FakeBroker(cuts={3: "before"}))
    w.play()
    for topic, body in w.broker.wills:
        assert topic == "inspection/line1/status"
        assert b'"state":"offline"' in body
        assert SESSION.encode() in body
    assert [s["state"] for s in w.broker.bodies("status")] == ["online", "online", "stopped"]
    assert {s["session"] for s in w.broker.bodies("status")} == {SESSION}


def test_goodbye_is_stopped_then_disconnect(simulate: Simulate) -> None:
    """Closing sends all rows, then `stopped`, then DISCONNECT, so that no will is published."""
    w = simulate(30, FakeBroker(answers_per_step=4))
    w.play_until(lambda: bool(w.broker.arrived))
    assert w.settled()
    last = w.broker.arrived[-1]
    assert (last.topic, last.body["state"]) == ("inspection/line1/status", "stopped")
    assert last.body["reason"] == "stopped by request"
    assert w.broker.said_goodbye[-1] == w.broker.connections
    assert w.publisher.state == "stopped"


def test_closing_has_an_end(simulate: Simulate) -> None:
    """A broker without answers does not keep the daemon from stopping."""
    broker = FakeBroker(answers_per_step=0)
    w = simulate(5, broker)
    w.play_until(lambda: bool(broker.arrived))
    assert w.acks.accepted == []
    assert len(w.view.batch(0, 9)) == 5
    assert broker.now < 1100


def test_closing_while_there_is_no_broker_ends(simulate: Simulate) -> None:
    """Without a connection close ends at once, and the rows stay."""
    broker = FakeBroker(greetings=repeat("absent"))
    w = simulate(2, broker)
    w.play_until(lambda: broker.connections >= 3)
    assert len(w.view.batch(0, 9)) == 2


def test_nothing_is_sent_without_a_subscriber(simulate: Simulate) -> None:
    """`may_send` False holds the rows back but not `status`; True releases them."""
    broker = FakeBroker()
    w = simulate(3, broker)
    w.may_send = False
    step = broker.on_step

    def watch() -> None:
        if w.steps == 40:
            assert broker.bodies("result") == []
            assert len(broker.bodies("status")) == 1
            w.may_send = True
        step()

    broker.on_step = watch
    w.play()
    assert w.acks.accepted == [1, 2, 3]


def test_announcements_are_sent_at_every_connect(simulate: Simulate) -> None:
    """The newest `info` and `health` are sent again after a reconnect, older ones never."""
    w = simulate(4, FakeBroker(cuts={5: "after"}))
    w.publisher.announce("info", b'{"n":1}')
    w.publisher.announce("health", b'{"n":2}')
    w.publisher.announce("health", b'{"n":3}')
    w.play()
    assert w.broker.bodies("info") == [{"n": 1}, {"n": 1}]
    assert w.broker.bodies("health") == [{"n": 3}, {"n": 3}]


def test_an_unexpected_fault_does_not_end_the_publisher(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception is logged, and the next connection works."""
    calls = cycle([True])
    failing = islice(calls, 1)

    def may_send() -> bool:
        if next(failing, None):
            raise ZeroDivisionError("a bug")
        return True

    w = simulate(2, may_send=may_send)
    w.play()
    assert w.acks.accepted == [1, 2]
    assert "unexpected fault" in caplog.text


def test_the_pause_stays_within_its_bounds() -> None:
    """Each pause lies between base and cap, at most three times the one before; reset starts
    again from the base."""
    backoff = Backoff(1.0, 60.0)
    before = 1.0
    for _ in range(1000):
        pause = backoff.next()
        assert 1.0 <= pause <= min(60.0, 3 * before)
        before = pause
    backoff.reset()
    assert backoff.next() <= 3.0


def test_an_hour_without_a_broker_is_few_attempts(simulate: Simulate) -> None:
    """With pauses of up to a minute, an hour of outage costs at most some hundred attempts."""
    broker = FakeBroker(greetings=repeat("absent"), step_s=5.0)
    w = simulate(1, broker, backoff=Backoff(1.0, 60.0))
    w.play_until(lambda: broker.now > 4600)
    assert 40 < broker.connections < 300
