"""Rows that are sent by who has just stored them: in order, once, and never by waiting."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.delivery.backoff import Backoff
from edge.delivery.events import About
from edge.delivery.flight import Flight
from edge.delivery.lanes import Lanes
from edge.delivery.link import OversizeError
from edge.delivery.message import stored_body
from edge.delivery.outbox import Outbox
from edge.delivery.outboxview import OutboxView
from edge.delivery.row import Row
from edge.delivery.sending import Sending
from edge.delivery.troubles import LinkError
from edge.delivery.waiting import Waiting
from edge.environment import Environment
from tests.edge.conftest import Clock
from tests.edge.delivery.test_outbox import rows_from
from tests.support.verdicts import a_verdict

WINDOW = 20
DEADLINE_S = 30


class Line:
    """A connection that remembers what is sent on it."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.threads: set[str] = set()
        self.flushed = 0
        self.fault: Exception | None = None

    def open(self) -> None:
        """Is open."""

    def publish(self, topic: str, body: bytes, *, retain: bool, about: About | None = None) -> int:
        """Remembers, or fails."""
        assert (topic, retain) == ("t/result", False)
        assert about is not None
        if self.fault is not None:
            raise self.fault
        self.published.append(body)
        self.threads.add(threading.current_thread().name)
        return len(self.published)

    def flush(self) -> None:
        """Counts how much was handed over."""
        self.flushed = len(self.published)

    def subscribe(self, pattern: str) -> None:
        """Is not asked."""

    def alive(self) -> bool:
        """Is."""
        return True

    def close(self) -> None:
        """Closes."""

    @property
    def numbers(self) -> list[int]:
        """Of the rows that were sent."""
        return [int(body.split(b'"seq":')[1].split(b",")[0]) for body in self.published]


class Ledger:
    """What became of the rows."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.parked: list[int] = []

    def accept(self, seq: int) -> None:
        """The broker has it."""
        self.accepted.append(seq)

    def park(self, seq: int, reason: str) -> None:
        """It never will."""
        assert reason
        self.parked.append(seq)


@dataclass
class Desk:
    """A publisher's parts without its thread: a connection on which nothing waits."""

    waiting: Waiting
    clock: Clock
    line: Line = field(default_factory=Line)
    ledger: Ledger = field(default_factory=Ledger)
    flight: Flight = field(default_factory=Flight)
    listening: bool = True
    bound_s: float = 45.0

    def __post_init__(self) -> None:
        environment = Environment(self.clock.now, self.clock.tick)
        self.lanes = Lanes(
            self.waiting, self.ledger, environment, topic="t/result", backoff=Backoff(1.0, 2.0)
        )
        self.sending = Sending(
            self.lanes,
            self.flight,
            self.waiting,
            self.clock.tick,
            topic="t/result",
            max_age_s=3600.0,
            may_send=lambda: self.listening,
        )

    def connect(self) -> None:
        """As the publisher does, up to where it first has nothing to do."""
        self.lanes.begin(WINDOW)
        self.flight.begin(WINDOW, self.bound_s)
        self.sending.begin(self.line)
        self.publisher_looks()

    def publisher_looks(self) -> None:
        """As its thread does when it is woken."""
        with self.sending.turn:
            self.sending.some(self.line, self.clock.tick())
            self.line.flush()

    def answer(self, mid: int) -> None:
        """The broker's PUBACK for a message."""
        with self.sending.turn:
            self.lanes.settle(self.flight.answered(mid), 0, "Success")

    def store(self, first: int, count: int = 1) -> None:
        """Rows that are shown, as `balanced` does: no disk has them yet."""
        rows = [Row(n, 1.0, stored_body(a_verdict(), n)) for n in range(first, first + count)]
        self.waiting.show(rows, stored=False)


@pytest.fixture
def desk(outbox: Outbox, clock: Clock) -> Iterator[Desk]:
    """With the rows 1 to 3 in the file, on a connection that has sent them."""
    waiting = Waiting(OutboxView(outbox._path), outbox.last, lambda: 1.0)
    made = Desk(waiting, clock)
    yield made
    waiting.close()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """With the rows 1 to 3 in the file."""
    box = Outbox(tmp_path / "outbox.db", 2**24, 3600.0)
    box.apply(rows_from(1, 3), [], [], [], 1.0)
    yield box
    box.close()


def test_what_was_just_stored_is_sent_by_who_stored_it(desk: Desk) -> None:
    """On the caller's thread, in order, flushed, and its answer is settled as any other."""
    desk.connect()
    assert desk.line.numbers == [1, 2, 3]
    desk.store(4)
    assert desk.sending.at_once()
    desk.store(5, 2)
    assert desk.sending.at_once()
    assert desk.line.numbers == [1, 2, 3, 4, 5, 6]
    assert desk.line.flushed == 6
    assert desk.line.published[3].endswith(b',"replayed":false}')
    for mid in range(1, 7):
        desk.answer(mid)
    assert desk.ledger.accepted == [1, 2, 3, 4, 5, 6]
    desk.publisher_looks()
    assert len(desk.line.published) == 6


def test_nobody_waits_for_the_publishers_turn(desk: Desk) -> None:
    """While the publisher is at work it is left to the publisher, at once."""
    desk.connect()
    desk.store(4)
    with desk.sending.turn:
        assert not desk.sending.at_once()
    assert desk.line.numbers == [1, 2, 3]
    desk.publisher_looks()
    assert desk.line.numbers == [1, 2, 3, 4]


def test_left_to_the_publisher(desk: Desk) -> None:
    """Without a connection, where nobody listens, and where answers are overdue soon."""
    assert not desk.sending.at_once()
    desk.connect()
    desk.store(4)
    desk.listening = False
    assert not desk.sending.at_once()
    desk.listening, desk.flight.bound_s = True, 1.5
    assert not desk.sending.at_once()
    desk.flight.bound_s = 45.0
    desk.sending.end()
    assert not desk.sending.at_once()
    assert desk.line.numbers == [1, 2, 3]


def test_a_backlog_is_the_publishers(desk: Desk) -> None:
    """What is new goes at once, before the backlog; the publisher is told that there is more."""
    desk.lanes.begin(WINDOW)
    desk.flight.begin(WINDOW, 45.0)
    desk.sending.begin(desk.line)
    desk.store(4)
    assert not desk.sending.at_once()
    assert desk.line.numbers == [4]
    desk.publisher_looks()
    assert desk.line.numbers == [4, 1, 2, 3]
    assert [b.endswith(b"true}") for b in desk.line.published] == [False, True, True, True]


def test_no_more_than_the_window(desk: Desk) -> None:
    """The rest is sent when answers have come."""
    desk.connect()
    desk.store(4, 30)
    assert not desk.sending.at_once()
    assert desk.line.numbers == list(range(1, 21))
    for mid in range(1, 21):
        desk.answer(mid)
    desk.publisher_looks()
    assert desk.line.numbers == list(range(1, 34))


def test_no_disk_is_asked(desk: Desk, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are in the file alone are for the publisher, who may wait for a disk."""
    desk.connect()
    outbox.apply(rows_from(4, 2), [], [], [], 1.0)
    desk.waiting.file_changed(5, 2)
    with monkeypatch.context() as patched:
        patched.setattr(OutboxView, "batch", lambda *_: pytest.fail("the disk was asked"))
        assert not desk.sending.at_once()
    desk.publisher_looks()
    assert desk.line.numbers == [1, 2, 3, 4, 5]


def test_a_row_that_waited_is_backlog(desk: Desk) -> None:
    """What could not go for two seconds is not live any more."""
    desk.connect()
    rows = [Row(4, -10.0, stored_body(a_verdict(), 4))]
    desk.waiting.show(rows, stored=True)
    assert not desk.sending.at_once()
    desk.publisher_looks()
    assert desk.line.published[-1].endswith(b',"replayed":true}')


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (LinkError("cannot send (no connection)"), "cannot send (no connection)"),
        (ValueError("what"), "internal fault (ValueError('what'))"),
    ],
)
def test_a_connection_that_fails_is_told(desk: Desk, fault: Exception, told: str) -> None:
    """The publisher finds the reason, and throws the connection away; whoever stored the verdict
    goes on."""
    desk.connect()
    desk.store(4)
    desk.line.fault = fault
    assert not desk.sending.at_once()
    assert desk.sending.fault == told
    desk.line = Line()
    desk.connect()
    assert desk.sending.fault == ""
    assert desk.line.numbers == [1, 2, 3, 4]


def test_what_is_too_large_is_parked(desk: Desk) -> None:
    """And those behind it go on."""
    desk.connect()
    desk.line.fault = OversizeError("too large")
    desk.store(4)
    assert desk.sending.at_once()
    desk.line.fault = None
    desk.store(5)
    assert desk.sending.at_once()
    assert desk.ledger.parked == [4]
    assert desk.line.numbers == [1, 2, 3, 5]


def test_two_threads_send_each_row_once_in_order(desk: Desk) -> None:
    """One stores and sends, the other answers and sends as the publisher does."""
    desk.connect()
    last = 3000
    done, wake = threading.Event(), threading.Event()

    def publish() -> None:
        answered = 0
        while not done.is_set() or answered < last:
            wake.wait(0.001)
            wake.clear()
            desk.publisher_looks()
            while answered < desk.line.flushed:
                answered += 1
                desk.answer(answered)

    other = threading.Thread(target=publish, name="publisher", daemon=True)
    other.start()
    by_hand = 0
    for number in range(4, last + 1):
        desk.store(number)
        if desk.sending.at_once():
            by_hand += 1
        else:
            wake.set()
    done.set()
    other.join(DEADLINE_S)
    assert not other.is_alive()
    assert desk.line.numbers == list(range(1, last + 1))
    assert sorted(desk.ledger.accepted) == list(range(1, last + 1))
    assert by_hand
