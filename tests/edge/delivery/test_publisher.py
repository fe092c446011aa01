"""The publisher against a broker that lies: what leaves the outbox, and what never does."""

from collections.abc import Callable, Iterator
from itertools import chain, cycle, islice, repeat
from pathlib import Path
from typing import Any, Literal

import pytest

from edge.delivery.backoff import Backoff
from tests.edge.delivery.fakebroker import ACCEPT, FakeBroker, Greeting
from tests.edge.delivery.samples import NOON, validator
from tests.edge.delivery.world import SESSION, World

Make = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Make]:
    """Makes a World, and puts its files away."""
    made: list[World] = []

    def make(rows: int, broker: FakeBroker | None = None, **options: Any) -> World:
        made.append(World(tmp_path, rows, broker, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


def then(*first: Greeting) -> Iterator[Greeting]:
    """These greetings, then acceptance for ever."""
    return chain(first, repeat(ACCEPT))


def test_every_row_goes_once_in_order(world: Make) -> None:
    """With a broker that works, each verdict is sent once, in order, and leaves the outbox."""
    w = world(100)
    w.play()
    assert [body["seq"] for body in w.broker.bodies("result")] == list(range(1, 101))
    assert w.ledger.accepted == list(range(1, 101))
    assert w.view.batch(0, 1) == []


def test_results_and_status_obey_their_schemas(world: Make) -> None:
    """What is sent is valid against docs/schema, QoS and retain flag as the contract says."""
    w = world(3)
    w.play()
    for arrived in w.broker.arrived:
        name = arrived.topic.rpartition("/")[2]
        assert arrived.topic == f"inspection/line1/{name}"
        assert arrived.retain == (name != "result")
        validator(name).validate(arrived.body)


@pytest.mark.parametrize(("receive_maximum", "window"), [(65535, 20), (5, 5), (21, 20), (1, 1)])
def test_the_window_is_kept(world: Make, receive_maximum: int, window: int) -> None:
    """No more messages wait for their PUBACK than 20 and than the broker's Receive Maximum."""
    broker = FakeBroker(receive_maximum=receive_maximum, answers_per_step=1)
    w = world(60, broker)
    w.publisher.announce("info", b'{"a":1}')
    w.publisher.announce("health", b'{"a":1}')
    w.play()
    assert w.settled()
    assert broker.most_unanswered <= window


@pytest.mark.parametrize("code", [0x00, 0x10, 0x7F])
def test_success_codes_release_the_row(world: Make, code: int) -> None:
    """A PUBACK below 0x80 is a success, also `no matching subscribers` (0x10)."""
    w = world(2, FakeBroker(codes=repeat(code)))
    w.play()
    assert w.ledger.accepted == [1, 2]
    assert w.ledger.parked == {}


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x91, 0x99, 0xFF])
def test_refusals_park_the_row(world: Make, code: int) -> None:
    """A PUBACK of 0x80 or above is no delivery: the row is parked with the broker's reason."""
    w = world(2, FakeBroker(codes=chain([0, code], repeat(0))))
    w.play()
    assert w.ledger.parked == {1: f"reason {code:#04x}"}
    assert w.ledger.accepted == [2]
    assert w.outbox.stats().rows == 1


def test_a_full_broker_gets_the_row_again(world: Make) -> None:
    """Quota exceeded (0x97) means later, not never: the row waits and is sent again."""
    w = world(5, FakeBroker(codes=chain([0, 0x97, 0x97, 0, 0, 0x97], repeat(0))))
    w.play()
    assert sorted(w.ledger.accepted) == [1, 2, 3, 4, 5]
    assert w.ledger.parked == {}
    assert [c["replayed"] for c in w.copies(1)] == [False, True]


def test_a_full_broker_gets_a_pause(world: Make) -> None:
    """After quota exceeded nothing is sent before the pause is over."""
    broker = FakeBroker(codes=chain([0, 0x97], repeat(0)))
    w = world(1, broker, backoff=Backoff(50.0, 50.0))
    seen: list[float] = []
    step = broker.on_step

    def watch() -> None:
        seen.extend([broker.now] * (len(broker.bodies("result")) - len(seen)))
        step()

    broker.on_step = watch
    w.play()
    assert len(seen) == 2
    assert seen[1] - seen[0] >= 50.0


def test_answers_in_any_order(world: Make) -> None:
    """A broker may acknowledge the newest first: each answer releases its own row."""
    w = world(45, FakeBroker(reverse=True, answers_per_step=3))
    w.play()
    assert sorted(w.ledger.accepted) == list(range(1, 46))
    assert w.ledger.accepted != sorted(w.ledger.accepted)


@pytest.mark.parametrize("where", ["before", "after", "raise"])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_cut_anywhere_loses_nothing(
    world: Make, at: int, where: Literal["before", "after", "raise"]
) -> None:
    """Wherever the connection breaks, all rows arrive, and second copies say `replayed`."""
    w = world(8, FakeBroker(cuts={at: where}))
    w.play()
    assert sorted(w.ledger.accepted) == list(range(1, 9))
    assert w.publisher.reconnects == (1 if w.broker.connections > 1 else 0)
    for seq in range(1, 9):
        copies = w.copies(seq)
        assert copies
        assert all(copy["replayed"] for copy in copies[1:])


def test_old_verdicts_are_replayed(world: Make) -> None:
    """A verdict that waited more than two seconds is marked; a fresh one is not."""
    w = world(2, age_s=2.5)
    w.store(1)
    w.play()
    assert [body["replayed"] for body in w.broker.bodies("result")] == [True, True, False]


def test_a_clock_set_back_marks_replayed(world: Make) -> None:
    """A verdict from the future cannot be trusted to be live."""
    w = world(1, age_s=-3600)
    w.play()
    assert [body["replayed"] for body in w.broker.bodies("result")] == [True]


def test_acknowledged_rows_are_not_sent_again(world: Make) -> None:
    """Rows whose PUBACK came, but whose deletion is not on disk yet, are left out after a cut."""
    w = world(60, FakeBroker(cuts={50: "before"}), ack_delay=10_000)
    w.play()
    assert w.settled()
    assert len(w.broker.bodies("result")) <= 60 + 20


def test_a_long_unwritten_history_is_skipped_at_once(world: Make) -> None:
    """With 500 accepted rows still on disk, a new row goes out at once after a reconnect."""
    broker = FakeBroker()
    w = world(500, broker, ack_delay=10_000)
    steps: list[int] = []
    before = broker.on_step

    def step() -> None:
        if len(w.ledger.accepted) == 500 and w.total == 500:
            w.store(1)
            broker.cut()
            steps.append(w.steps)
        if w.total == 501 and len(steps) == 1 and w.copies(501):
            steps.append(w.steps)
        before()

    broker.on_step = step
    w.play()
    assert w.settled()
    assert steps[1] - steps[0] < 20


@pytest.mark.parametrize("bad", ["wrong version", "silent", "hang up"])
def test_auto_tries_the_other_version(world: Make, bad: Greeting) -> None:
    """A broker that does not take MQTT 5 gets 3.1.1 at the next attempt, and back."""
    w = world(1, FakeBroker(greetings=then(bad, bad, bad)))
    w.play()
    assert w.broker.versions == ["5", "3.1.1", "5", "3.1.1"]
    assert w.ledger.accepted == [1]


@pytest.mark.parametrize("bad", ["refuse", "absent"])
def test_other_failures_keep_the_version(world: Make, bad: Greeting) -> None:
    """A wrong password or an absent broker says nothing about the version."""
    w = world(1, FakeBroker(greetings=then(bad, bad)))
    w.play()
    assert w.broker.versions == ["5", "5", "5"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_fixed_version_is_kept(world: Make, version: str) -> None:
    """What config.yaml fixes is never changed."""
    w = world(1, FakeBroker(greetings=then("wrong version", "silent")), version=version)
    w.play()
    assert set(w.broker.versions) == {version}


def test_a_refusal_is_not_a_connection(world: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A refused CONNACK sends nothing, is said in plain words once, and is not `online`."""
    states: list[str] = []
    broker = FakeBroker(greetings=then("refuse", "refuse", "refuse"))
    w = world(1, broker)
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
    assert w.ledger.accepted == [1]
    assert w.publisher.why == ""


def test_the_will_carries_this_session(world: Make) -> None:
    """Each connection's will is `offline` with the session that `online` has."""
    w = world(3, FakeBroker(cuts={3: "before"}))
    w.play()
    for topic, body in w.broker.wills:
        assert topic == "inspection/line1/status"
        assert b'"state":"offline"' in body
        assert SESSION.encode() in body
    assert [s["state"] for s in w.broker.bodies("status")] == ["online", "online", "stopped"]
    assert {s["session"] for s in w.broker.bodies("status")} == {SESSION}


def test_goodbye_is_stopped_then_disconnect(world: Make) -> None:
    """At the end: all rows, then `stopped`, then DISCONNECT, so that no will is sent."""
    w = world(30, FakeBroker(answers_per_step=4))
    w.play_until(lambda: bool(w.broker.arrived))
    assert w.settled()
    last = w.broker.arrived[-1]
    assert (last.topic, last.body["state"]) == ("inspection/line1/status", "stopped")
    assert last.body["reason"] == "stopped by request"
    assert w.broker.said_goodbye[-1] == w.broker.connections
    assert w.publisher.state == "stopped"


def test_closing_has_an_end(world: Make) -> None:
    """A broker that answers nothing cannot keep the daemon from stopping."""
    broker = FakeBroker(answers_per_step=0)
    w = world(5, broker)
    w.play_until(lambda: bool(broker.arrived))
    assert w.ledger.accepted == []
    assert len(w.view.batch(0, 9)) == 5
    assert broker.now < 1100


def test_closing_while_there_is_no_broker_ends(world: Make) -> None:
    """Without a connection close ends at once, and the rows stay."""
    broker = FakeBroker(greetings=repeat("absent"))
    w = world(2, broker)
    w.play_until(lambda: broker.connections >= 3)
    assert len(w.view.batch(0, 9)) == 2


def test_nothing_is_sent_while_nobody_listens(world: Make) -> None:
    """may_send False holds the rows, not `status`; True lets them go."""
    broker = FakeBroker()
    w = world(3, broker)
    w.listening = False
    step = broker.on_step

    def watch() -> None:
        if w.steps == 40:
            assert broker.bodies("result") == []
            assert len(broker.bodies("status")) == 1
            w.listening = True
        step()

    broker.on_step = watch
    w.play()
    assert w.ledger.accepted == [1, 2, 3]


def test_announcements_are_sent_at_every_connect(world: Make) -> None:
    """The newest `info` and `health` are sent again after a reconnect, older ones never."""
    w = world(4, FakeBroker(cuts={5: "after"}))
    w.publisher.announce("info", b'{"n":1}')
    w.publisher.announce("health", b'{"n":2}')
    w.publisher.announce("health", b'{"n":3}')
    w.play()
    assert w.broker.bodies("info") == [{"n": 1}, {"n": 1}]
    assert w.broker.bodies("health") == [{"n": 3}, {"n": 3}]


def test_a_fault_of_ours_does_not_silence_the_box(
    world: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception is logged, and the next connection serves on."""
    calls = cycle([True])
    w = world(2)
    failing = islice(calls, 1)

    def may_send() -> bool:
        if next(failing, None):
            raise ZeroDivisionError("a bug")
        return True

    w.publisher._may_send = may_send
    w.play()
    assert w.ledger.accepted == [1, 2]
    assert "unexpected fault" in caplog.text


def test_the_pause_never_leaves_its_bounds() -> None:
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


def test_an_hour_without_a_broker_is_few_attempts(world: Make) -> None:
    """With pauses of up to a minute, an hour of outage costs at most some hundred attempts."""
    broker = FakeBroker(greetings=repeat("absent"), step_s=5.0)
    w = world(1, broker, backoff=Backoff(1.0, 60.0))
    w.play_until(lambda: broker.now > 4600)
    assert 40 < broker.connections < 300
    assert NOON == w.epoch
