"""What goes onto a connection, and what waits: the sender without a thread or a socket."""

import threading

import pytest

from edge.core.clock import Clock
from edge.core.messages import MessageProperties, stored_body
from edge.mqtt.backoff import Backoff
from edge.mqtt.diagnostics import OversizeError
from edge.mqtt.inflight_window import InFlightWindow
from edge.mqtt.retained import RetainedTopics
from edge.mqtt.send_scheduler import SendScheduler
from edge.mqtt.sender import Sender
from edge.storage.outbox.records import OutboxRow
from tests.support.clock import FakeClock
from tests.support.verdicts import a_verdict

WINDOW = 20
TOO_LARGE = 2000  # bytes


class Line:
    """A connection that remembers what is sent on it."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def open(self) -> None:
        """Is open."""

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """Remembers it, unless it is too large."""
        if len(body) > TOO_LARGE:
            raise OversizeError("too large")
        self.topics.append(topic)
        return len(self.topics)

    def subscribe(self, pattern: str) -> None:
        """Is not asked."""

    def alive(self) -> bool:
        """Is."""
        return True

    def close(self) -> None:
        """Closes."""


class Rows:
    """The rows that wait, and what became of them."""

    unsure = False

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []
        self.parked: list[int] = []

    def add(self, count: int, **changes: object) -> None:
        """More rows."""
        for number in range(len(self.rows) + 1, len(self.rows) + count + 1):
            self.rows.append(OutboxRow(number, 0.0, stored_body(a_verdict(**changes), number)))

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        """As the outbox."""
        found = [r for r in self.rows if after < r.seq and (before is None or r.seq < before)]
        return found[:limit]

    def newest(self) -> int:
        """The highest number."""
        return len(self.rows)

    def age_s(self, row: OutboxRow) -> float:
        """All are new."""
        return row.stored_at

    def accept(self, seq: int) -> None:
        """Is not asked."""

    def park(self, seq: int, reason: str) -> None:
        """Remembers it."""
        self.parked.append(seq)


class Bench:
    """A sender on a new connection."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.rows, self.line, self.flight = Rows(), Line(), InFlightWindow()
        self.announcements = RetainedTopics("p/s")
        self.listening = True
        lanes = SendScheduler(
            self.rows,
            self.rows,
            Clock(clock.now, clock.tick),
            topic="p/s/result",
            backoff=Backoff(1.0, 2.0),
        )
        lanes.begin(WINDOW)
        self.flight.begin(WINDOW, 45.0)
        self.sender = Sender(
            self.announcements,
            lanes,
            self.flight,
            self.rows,
            topic="p/s/result",
            max_age_s=3600.0,
            may_send=lambda: self.listening,
        )

    def fill(self) -> list[str]:
        """The names of the topics that were published on this time."""
        before = len(self.line.topics)
        self.sender.fill(self.line, 0.0)
        return [topic.rpartition("/")[2] for topic in self.line.topics[before:]]


@pytest.fixture
def bench() -> Bench:
    """Nothing waits yet."""
    return Bench()


def test_announcements_take_a_quarter_of_the_window(bench: Bench) -> None:
    """Retained topics first, then answers, then rows in what is left."""
    bench.announcements.announce("health", b"{}")
    for _ in range(9):
        bench.announcements.reply("trigger", b"{}", None)
    bench.rows.add(30)
    assert bench.fill() == ["health", *["trigger"] * 4, *["result"] * 15]
    assert bench.fill() == []
    for mid in range(1, 4):
        bench.flight.answered(mid)
    assert bench.fill() == ["trigger"] * 3


def test_what_is_too_large_holds_nothing_back(bench: Bench) -> None:
    """An announcement is dropped and a row is parked; those behind them go."""
    bench.announcements.announce("info", bytes(TOO_LARGE + 1))
    bench.announcements.announce("health", b"{}")
    bench.rows.add(1, reason="x" * TOO_LARGE)
    bench.rows.add(1)
    assert bench.fill() == ["health", "result"]
    assert bench.rows.parked == [1]


def test_rows_wait_while_the_sender_may_not_send(bench: Bench) -> None:
    """Then nothing is left to do, though rows wait; announcements go as ever."""
    bench.listening = False
    bench.rows.add(1)
    assert bench.sender.done
    bench.announcements.announce("health", b"{}")
    assert bench.fill() == ["health"]
    assert not bench.sender.done
    bench.flight.answered(1)
    assert bench.sender.done
    bench.listening = True
    assert not bench.sender.done
    assert bench.fill() == ["result"]


def test_no_announcement_is_lost_at_a_reconnect() -> None:
    """One thread announces, another connects and sends: the newest body of each topic is sent."""
    announcements = RetainedTopics("p/s")
    last = 3000

    def announce() -> None:
        for number in range(last + 1):
            announcements.announce(f"topic{number % 50}", b"%d" % number)

    thread = threading.Thread(target=announce)
    thread.start()
    sent: dict[str, int] = {}
    alive = True
    while alive:
        alive = thread.is_alive()
        announcements.connected()
        while (message := announcements.next()) is not None:
            sent[message.topic] = int(message.body)
    thread.join()
    assert sorted(sent.values()) == list(range(last - 49, last + 1))
