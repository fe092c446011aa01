"""The publisher against a broker that lies: what leaves the outbox, and what never does."""

from itertools import chain, repeat
from typing import Literal

import pytest

from edge.delivery.backoff import Backoff
from tests.edge.delivery.conftest import Make
from tests.edge.delivery.fakebroker import FakeBroker
from tests.edge.delivery.samples import validator


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
