"""A broker that ends the connection over one message delays no other one."""

import json
from itertools import chain, repeat

import pytest

from edge.config import Config
from edge.core.clock import Clock
from edge.mqtt.events import Lost, PubAck
from edge.mqtt.status import BirthAndWill
from edge.mqtt.subscriptions import Subscriptions
from tests.edge.mqtt.conftest import Simulate
from tests.edge.mqtt.virtual_time import PublisherSimulation
from tests.support.fake_broker import FakeBroker, FakeConnection, Greeting
from tests.support.schemas import validator

HEALTH = {
    "schema": "edge-inspect/health/1",
    "time": "2026-11-30T12:00:00.000Z",
    "session": "5" * 32,
    "healthy": True,
    "faults": ["a fault " * 100],
    "cameras": {"top": {"state": "live" * 500}},
}


def played(w: PublisherSimulation, *, until_health: bool = True) -> list[str]:
    """Announces info and health, runs until all verdicts are accepted and `health` arrived twice.
    Returns all faults that were reported."""
    faults: dict[str, None] = {}
    w.publisher.announce("info", b'{"a":1}')
    w.publisher.announce("health", json.dumps(HEALTH).encode())

    def done() -> bool:
        faults.update(dict.fromkeys(w.publisher.faults()))
        return w.settled() and (not until_health or bool(w.broker.bodies("health")))

    w.play_until(done)
    return list(faults)


@pytest.mark.parametrize("announced", [False, True])
def test_a_health_that_is_too_large_is_shortened(simulate: Simulate, announced: bool) -> None:
    """A limit smaller than `health`, unknown (3.1.1) or announced (5): verdicts go, `health` is
    shortened, and the fault names the limit, not another client."""
    broker = FakeBroker(breaks_on=lambda _topic, body: not announced and len(body) > 1500)
    broker.largest = 1500 if announced else 2**30
    faults = played(w := simulate(30, broker))
    assert w.acks.accepted == list(range(1, 31))
    short = broker.bodies("health")[0]
    validator("health-short").validate(short)
    assert any("health is shortened" in fault for fault in faults)
    assert not any("client id" in fault for fault in faults)
    assert broker.connections <= (1 if announced else 4)


def test_verdicts_go_first_after_early_ends(simulate: Simulate) -> None:
    """The third connection sends verdicts before the message that ended the first two."""
    broker = FakeBroker(breaks_on=lambda topic, _body: topic.endswith("/info"))
    faults = played(w := simulate(30, broker))
    assert w.acks.accepted == list(range(1, 31))
    assert {a.connection for a in broker.arrived if a.topic.endswith("/result")} == {3}
    assert any("info is left out" in fault and "ACL" in fault for fault in faults)


def test_a_message_is_tried_again_and_taken(simulate: Simulate) -> None:
    """When the broker's limit is raised, the whole `health` comes back and the fault ends."""
    broker = FakeBroker()
    limit_until = broker.now + 90
    broker.breaks_on = lambda _topic, body: len(body) > 1500 and broker.now < limit_until
    w = simulate(3, broker)
    w.publisher.announce("health", json.dumps(HEALTH).encode())

    def again() -> bool:
        if broker.now > limit_until + 60:
            w.publisher.announce("health", json.dumps(HEALTH).encode())
        return HEALTH in broker.bodies("health") and not w.publisher.faults()

    w.play_until(again)
    assert HEALTH in broker.bodies("health")
    assert w.publisher.faults() == []


def test_a_verdict_that_breaks_the_connection_goes_last(simulate: Simulate) -> None:
    """Without a reason of the broker's the verdict is never given up, and the others pass it."""
    broker = FakeBroker()
    broker.breaks_on = lambda _topic, body: b'"seq":2,' in body and broker.now < 3000
    w = simulate(30, broker)
    w.play()
    assert sorted(w.acks.accepted) == list(range(1, 31))
    assert w.acks.accepted[-1] == 2
    assert w.acks.parked == {}


def test_a_verdict_that_breaks_the_connection_for_a_reason_is_parked(simulate: Simulate) -> None:
    """After three proofs, such as answers that are not MQTT, it is a dead letter."""
    broker = FakeBroker(breaks_on=lambda _topic, body: b'"seq":2,' in body, breaks_with=0x81)
    w = simulate(30, broker)
    w.play()
    assert sorted(w.acks.accepted) == [1, *range(3, 31)]
    assert list(w.acks.parked) == [2]


def test_two_early_network_losses_hold_nothing_back(simulate: Simulate) -> None:
    """After cuts of the network everything is sent, and no message is blamed."""
    broker = FakeBroker(cuts={3: "before", 6: "before"})
    faults = played(w := simulate(30, broker))
    assert sorted(w.acks.accepted) == list(range(1, 31))
    assert HEALTH in broker.bodies("health")
    assert not any("left out" in f or "shortened" in f or "ends the conn" in f for f in faults)


@pytest.mark.parametrize("third", range(7, 15))
def test_an_early_loss_on_a_careful_connection_blames_no_verdict(
    simulate: Simulate, third: int
) -> None:
    """The third early cut meets one message alone in flight. Verdicts keep their order."""
    broker = FakeBroker(cuts={3: "before", 6: "before", third: "before"})
    w = simulate(30, broker)
    w.play()
    first = list(dict.fromkeys(body["seq"] for body in broker.bodies("result")))
    assert first == list(range(1, 31))
    assert w.acks.parked == {}
    assert w.publisher.faults() == []


def test_a_refused_subscription_is_asked_again(simulate: Simulate) -> None:
    """It is a fault until the broker grants it."""
    broker = FakeBroker(grants=chain([True, False, False, False], repeat(True)))
    w = simulate(1, broker)
    seen: set[str] = set()
    request = "inspection/line1/request/+"

    def granted() -> bool:
        seen.update(w.publisher.faults())
        return request in broker.subscribed

    w.play_until(granted, lambda _name, _message: None)
    assert request in broker.subscribed
    assert broker.connections == 1
    assert any(request in fault for fault in seen)
    assert not any(request in fault for fault in w.publisher.faults())


def test_a_subscription_that_breaks_the_connection_waits(simulate: Simulate) -> None:
    """Verdicts and `health` go while it is held back."""
    broker = FakeBroker(breaks_on_subscribe=lambda pattern: pattern.endswith("/status"))
    w = simulate(5, broker)
    fault = "when we subscribe to inspection/line1/status"

    def found() -> bool:
        return w.settled() and any(fault in one for one in w.publisher.faults())

    w.play_until(found)
    assert sorted(w.acks.accepted) == [1, 2, 3, 4, 5]
    assert any(fault in one for one in w.publisher.faults())
    assert broker.connections <= 5


def test_a_message_that_is_too_long_for_us_is_not_asked_for(simulate: Simulate) -> None:
    """A retained request of 120 MB: the next connection does not subscribe to it, and the fault
    names its topic."""
    broker = FakeBroker()
    topic = "inspection/line1/request/trigger"

    def long_retained(pattern: str) -> bool:
        if pattern.endswith("/request/+") and broker.connection is not None:
            lost = Lost("a message of 120000000 bytes", too_long_on=topic)
            broker.connection.lose_with(lost)
        return False

    broker.breaks_on_subscribe = long_retained
    w = simulate(5, broker)
    seen: set[str] = set()

    def done() -> bool:
        seen.update(w.publisher.faults())
        return w.settled() and broker.connections >= 2

    broker.on_step = lambda: w.close() if done() else None
    w.play(lambda _name, _message: None)
    assert broker.connections == 2
    assert any(f"mosquitto_pub -r -n -t '{topic}'" in fault for fault in seen)


def test_a_broker_without_retained_messages_is_served(simulate: Simulate) -> None:
    """Its refusal of the will (0x9A) leads at once to a connection without the retain flag."""
    broker = FakeBroker(greetings=repeat("no retain"))
    w = simulate(3, broker)
    w.play()
    assert broker.retains == [True, False]
    assert w.acks.accepted == [1, 2, 3]


def test_a_broker_that_hangs_up_on_a_retained_will_is_served(simulate: Simulate) -> None:
    """MQTT 3.1.1 has no code for it: after two such ends the will is not retained. The next
    connection tries retained messages again."""
    greetings: list[Greeting] = ["hang up", "hang up", "accept", "accept"]
    broker = FakeBroker(greetings=chain(greetings, repeat("accept")))
    w = simulate(3, broker, version="3.1.1")
    w.play()
    assert broker.retains == [True, True, False]
    assert w.acks.accepted == [1, 2, 3]


def test_a_granted_subscription_is_asked_for_at_the_next_connection() -> None:
    """Also one that broke a connection before."""
    asked: list[str] = []

    class Recorder(FakeConnection):
        def subscribe(self, pattern: str) -> None:
            asked.append(pattern)

    connection = Recorder(FakeBroker(), 1, lambda _event: None)
    subscriptions = Subscriptions(["s/request/+"])
    subscriptions.too_long("s/request/trigger", "a message of 200000 bytes", 0.0)
    subscriptions.connected()
    subscriptions.send(connection, 1.0, most=2)
    assert asked == []
    subscriptions.send(connection, 61.0, most=2)
    subscriptions.granted("s/request/+")
    assert subscriptions.faults() == []
    subscriptions.connected()
    subscriptions.send(connection, 62.0, most=2)
    assert asked == ["s/request/+"] * 2


@pytest.mark.parametrize(("code", "word"), [(0x87, "ACL"), (0x97, "see its log")])
def test_a_refused_health_has_its_reason(environment: Clock, code: int, word: str) -> None:
    """Only `not authorized` names the ACL."""
    config = Config.read(
        {
            "station": "line1",
            "model": {"path": "m.tflite"},
            "cameras": [{"id": "top", "source": "test:"}],
        }
    )
    status = BirthAndWill(config, "5" * 32, environment)
    status.acknowledged(PubAck(1, code, "a reason"))
    (fault,) = status.faults()
    assert word in fault
    assert "a reason" in fault
