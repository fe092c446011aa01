"""The publisher against a broker with faults: which rows leave the outbox, and which stay."""

from itertools import chain, repeat
from typing import Literal

import pytest

from edge.mqtt.failover import Backoff
from edge.mqtt.send_scheduler import Cause
from tests.edge.mqtt.conftest import Simulate
from tests.support.fake_broker import FakeBroker
from tests.support.schemas import validator


def test_every_row_goes_once_in_order(simulate: Simulate) -> None:
    """With a working broker each verdict is sent once, in order, and leaves the outbox."""
    w = simulate(100)
    w.play()
    assert [body["seq"] for body in w.broker.bodies("result")] == list(range(1, 101))
    assert w.acks.accepted == list(range(1, 101))
    assert w.view.batch(0, 1) == []


def test_results_and_status_obey_their_schemas(simulate: Simulate) -> None:
    """What is sent is valid against docs/schema, QoS and retain flag as the contract says."""
    w = simulate(3)
    w.play()
    for arrived in w.broker.arrived:
        name = arrived.topic.rpartition("/")[2]
        assert arrived.topic == f"inspection/line1/{name}"
        assert arrived.retain == (name != "result")
        validator(name).validate(arrived.body)


@pytest.mark.parametrize(("receive_maximum", "window"), [(65535, 20), (5, 5), (21, 20), (1, 1)])
def test_the_window_is_kept(simulate: Simulate, receive_maximum: int, window: int) -> None:
    """No more messages wait for their PUBACK than 20 and than the broker's Receive Maximum."""
    broker = FakeBroker(receive_maximum=receive_maximum, answers_per_step=1)
    w = simulate(60, broker)
    w.publisher.announce("info", b'{"a":1}')
    w.publisher.announce("health", b'{"a":1}')
    w.play()
    assert w.settled()
    assert broker.most_unanswered <= window


@pytest.mark.parametrize("code", [0x00, 0x10, 0x7F])
def test_success_codes_release_the_row(simulate: Simulate, code: int) -> None:
    """A PUBACK below 0x80 is a success, also `no matching subscribers` (0x10)."""
    w = simulate(2, FakeBroker(codes=repeat(code)))
    w.play()
    assert w.acks.accepted == [1, 2]
    assert w.acks.parked == {}


@pytest.mark.parametrize(
    ("code", "cause"), [(0x90, "topic"), (0x95, "too_large"), (0x99, "payload")]
)
def test_a_row_that_is_refused_for_ever_is_parked(
    simulate: Simulate, code: int, cause: Cause
) -> None:
    """A row that the broker refuses for itself is parked with the reason, and counted."""
    w = simulate(2, FakeBroker(codes=chain([0, code], repeat(0))))
    w.play()
    assert w.acks.parked == {1: f"reason {code:#04x}"}
    assert w.acks.accepted == [2]
    assert w.outbox.file_stats().rows == 1
    assert w.publisher.refused[cause] == 1
    assert sum(w.publisher.refused.values()) == 1


@pytest.mark.parametrize("code", [0x80, 0x83, 0xFF])
def test_a_refusal_without_a_reason_is_tried_some_times(simulate: Simulate, code: int) -> None:
    """After `unspecified` the row is sent again, eight times at most."""
    w = simulate(2, FakeBroker(codes=chain([0, code, 0], repeat(0))))
    w.play()
    assert sorted(w.acks.accepted) == [1, 2]
    assert w.publisher.refused["unspecified"] == 1
    poison = simulate(1, FakeBroker(codes=chain([0], repeat(code))))
    poison.play()
    assert list(poison.acks.parked) == [3]
    assert poison.publisher.refused["unspecified"] == 8


def test_a_missing_permission_holds_all_rows(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    """After `not authorized` no row is lost, the fault names the topic, and the rows are sent when
    the ACL is corrected."""
    broker = FakeBroker(codes=chain([0, 0x87, 0x87], repeat(0)))
    w = simulate(3, broker)
    faults: list[str] = []
    step = broker.on_step

    def watch() -> None:
        faults.extend(w.publisher.faults())
        step()

    broker.on_step = watch
    started = broker.now
    w.play()
    assert sorted(w.acks.accepted) == [1, 2, 3]
    assert w.acks.parked == {}
    assert broker.now - started > 300
    assert any("publish on inspection/line1/result" in fault for fault in faults)
    assert w.publisher.faults() == []
    assert "ACL" in caplog.text


def test_an_oversize_row_is_parked_not_sent(simulate: Simulate) -> None:
    """A message above the Maximum Packet Size would disconnect at each attempt."""
    w = simulate(2, FakeBroker(largest=200))
    w.play()
    assert sorted(w.acks.parked) == [1, 2]
    assert w.publisher.refused["too_large"] == 2
    assert w.broker.connections == 1


def test_a_full_broker_gets_the_row_again(simulate: Simulate) -> None:
    """Quota exceeded (0x97) means later, not never: the row waits and is sent again."""
    w = simulate(5, FakeBroker(codes=chain([0, 0x97, 0x97, 0, 0, 0x97], repeat(0))))
    w.play()
    assert sorted(w.acks.accepted) == [1, 2, 3, 4, 5]
    assert w.acks.parked == {}
    assert [c["replayed"] for c in w.copies(1)] == [True, True]


def test_a_full_broker_gets_a_pause(simulate: Simulate) -> None:
    """After quota exceeded nothing is sent before the pause is over."""
    broker = FakeBroker(codes=chain([0, 0x97], repeat(0)))
    w = simulate(1, broker, backoff=Backoff(50.0, 50.0))
    seen: list[float] = []
    step = broker.on_step

    def watch() -> None:
        seen.extend([broker.now] * (len(broker.bodies("result")) - len(seen)))
        step()

    broker.on_step = watch
    w.play()
    assert len(seen) == 2
    assert seen[1] - seen[0] >= 50.0


def test_answers_in_any_order(simulate: Simulate) -> None:
    """A broker may acknowledge the newest first: each answer releases its own row."""
    w = simulate(45, FakeBroker(reverse=True, answers_per_step=3))
    w.play()
    assert sorted(w.acks.accepted) == list(range(1, 46))
    assert w.acks.accepted != sorted(w.acks.accepted)


@pytest.mark.parametrize("where", ["before", "after", "raise"])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_cut_anywhere_loses_nothing(
    simulate: Simulate, at: int, where: Literal["before", "after", "raise"]
) -> None:
    """Wherever the connection breaks, all rows arrive, and second copies are `replayed`."""
    w = simulate(8, FakeBroker(cuts={at: where}))
    w.play()
    assert sorted(w.acks.accepted) == list(range(1, 9))
    assert w.publisher.reconnects == (1 if w.broker.connections > 1 else 0)
    for seq in range(1, 9):
        copies = w.copies(seq)
        assert copies
        assert all(copy["replayed"] for copy in copies[1:])


def test_rows_stored_before_the_connection_are_replayed(simulate: Simulate) -> None:
    """Rows from before the connection are the backlog; later ones are live."""
    broker = FakeBroker()
    w = simulate(2, broker)
    step = broker.on_step

    def later() -> None:
        if len(w.acks.accepted) == 2 and w.total == 2:
            w.store(1)
        step()

    broker.on_step = later
    w.total = 2
    w.settled = lambda: len(w.acks.accepted) >= 3  # type: ignore[method-assign]
    w.play()
    assert [body["replayed"] for body in w.broker.bodies("result")] == [True, True, False]


def test_a_live_row_that_waited_is_replayed(simulate: Simulate) -> None:
    """A row that could not be sent for two seconds is not live."""
    broker = FakeBroker()
    w = simulate(0, broker)
    step = broker.on_step

    def later() -> None:
        if broker.bodies("status") and w.total == 0:
            w.store(1)
            w.epoch += 2.5
        step()

    broker.on_step = later
    w.settled = lambda: bool(w.acks.accepted)  # type: ignore[method-assign]
    w.play()
    assert [body["replayed"] for body in w.broker.bodies("result")] == [True]


@pytest.mark.slow
def test_live_rows_go_before_the_backlog(simulate: Simulate) -> None:
    """While a backlog is replayed, each live row is sent at once. Both keep their order, and the
    backlog takes at most half of the window."""
    broker = FakeBroker(answers_per_step=2)
    w = simulate(200, broker, replay_per_s=100)
    step = broker.on_step
    behind: list[int] = []

    def later() -> None:
        if broker.bodies("status") and w.total < 260 and w.steps % 5 == 0:
            live = [b["seq"] for b in broker.bodies("result") if not b["replayed"]]
            behind.append(w.total - 200 - len(live))
            w.store(1)
        step()

    broker.on_step = later
    w.play()
    bodies = broker.bodies("result")
    live = [b["seq"] for b in bodies if not b["replayed"]]
    old = [b["seq"] for b in bodies if b["replayed"]]
    assert live == list(range(201, 261))
    assert old == list(range(1, 201))
    assert max(behind) <= 1
    assert 0 < broker.most_replayed <= 10


def test_the_backlog_keeps_its_rate(simulate: Simulate) -> None:
    """200 rows at 50 a second take four seconds."""
    broker = FakeBroker(step_s=0.001)
    w = simulate(200, broker, replay_per_s=50)
    started = broker.now
    w.play()
    assert 3.7 < broker.now - started < 5


def test_acknowledged_rows_are_not_sent_again(simulate: Simulate) -> None:
    """Rows whose PUBACK came, but whose deletion is not on disk yet, are left out after a cut."""
    w = simulate(60, FakeBroker(cuts={50: "before"}), ack_delay=10_000)
    w.play()
    assert w.settled()
    assert len(w.broker.bodies("result")) <= 60 + 20


def test_a_long_unwritten_history_is_skipped_at_once(simulate: Simulate) -> None:
    """With 500 accepted rows still on disk, a new row goes out at once after a reconnect."""
    broker = FakeBroker()
    w = simulate(500, broker, ack_delay=10_000)
    steps: list[int] = []
    before = broker.on_step

    def step() -> None:
        if len(w.acks.accepted) == 500 and w.total == 500:
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
