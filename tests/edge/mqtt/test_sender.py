"""The sender without a thread or a socket."""

import threading
from typing import cast

import pytest

from edge.core.clock import Clock
from edge.core.messages import MessageProperties, stored_body
from edge.mqtt.breaking_messages import BreakingMessages
from edge.mqtt.diagnostics import OversizeError
from edge.mqtt.events import ReplyTo
from edge.mqtt.failover import Backoff
from edge.mqtt.retained import RetainedTopics
from edge.mqtt.send_scheduler import SendScheduler
from edge.mqtt.sender import InFlightWindow, Sender
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.send_queue import SendQueue
from tests.support.clock import FakeClock
from tests.support.verdicts import a_verdict

WINDOW = 20
TOO_LARGE = 2000  # bytes


class RecordingConnection:
    """A connection that records the topics of its messages."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def open(self) -> None:
        """Does nothing."""

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """Records the topic, unless the body is too large."""
        if len(body) > TOO_LARGE:
            raise OversizeError("too large")
        self.topics.append(topic)
        return len(self.topics)

    def subscribe(self, pattern: str) -> None:
        """Does nothing."""

    def alive(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Does nothing."""


class FakeRows:
    """The waiting rows, as SendQueue and AckSink, and the parked ones."""

    unsure = False
    generation = 1

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []
        self.parked: list[int] = []

    def add(self, count: int, **changes: object) -> None:
        """Adds rows."""
        for number in range(len(self.rows) + 1, len(self.rows) + count + 1):
            self.rows.append(OutboxRow(number, 0.0, stored_body(a_verdict(**changes), number)))

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        """As SendQueue."""
        found = [r for r in self.rows if after < r.seq and (before is None or r.seq < before)]
        return found[:limit]

    def newest(self) -> int:
        """The highest number."""
        return len(self.rows)

    def age_s(self, row: OutboxRow) -> float:
        """0 s: all rows are new."""
        return row.stored_at

    def accept(self, seq: int) -> None:
        """Does nothing."""

    def park(self, seq: int, reason: str) -> None:
        """Records it."""
        self.parked.append(seq)


class SenderOnConnection:
    """A sender with its scheduler and window on a new connection."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.rows, self.connection = FakeRows(), RecordingConnection()
        self.window = InFlightWindow()
        self.retained = RetainedTopics("p/s")
        self.may_send = True
        rows = cast(SendQueue, self.rows)
        scheduler = SendScheduler(
            rows,
            self.rows,
            Clock(clock.now, clock.tick),
            topic="p/s/result",
            backoff=Backoff(1.0, 2.0),
        )
        scheduler.begin(WINDOW)
        self.window.begin(WINDOW, 45.0)
        self.sender = Sender(
            self.retained,
            scheduler,
            self.window,
            rows,
            topic="p/s/result",
            max_age_s=3600.0,
            may_send=lambda: self.may_send,
        )

    def fill(self) -> list[str]:
        """Fills the window; returns the last level of each topic that was published."""
        before = len(self.connection.topics)
        self.sender.fill(self.connection, 0.0)
        return [topic.rpartition("/")[2] for topic in self.connection.topics[before:]]


@pytest.fixture
def bench() -> SenderOnConnection:
    """Without messages."""
    return SenderOnConnection()


def test_announcements_take_a_quarter_of_the_window(bench: SenderOnConnection) -> None:
    """Retained topics first, then replies, then rows in the rest of the window."""
    bench.retained.announce("health", b"{}")
    for _ in range(9):
        bench.retained.reply("trigger", b"{}", None)
    bench.rows.add(30)
    assert bench.fill() == ["health", *["trigger"] * 4, *["result"] * 15]
    assert bench.fill() == []
    for mid in range(1, 4):
        bench.window.acknowledge(mid)
    assert bench.fill() == ["trigger"] * 3


def test_oversize_messages_hold_nothing_back(bench: SenderOnConnection) -> None:
    """An oversize announcement is dropped and an oversize row parked; the next ones are sent."""
    bench.retained.announce("info", bytes(TOO_LARGE + 1))
    bench.retained.announce("health", b"{}")
    bench.rows.add(1, reason="x" * TOO_LARGE)
    bench.rows.add(1)
    assert bench.fill() == ["health", "result"]
    assert bench.rows.parked == [1]


def test_rows_wait_while_the_sender_may_not_send(bench: SenderOnConnection) -> None:
    """While `may_send` is False rows wait and count as done; announcements are sent."""
    bench.may_send = False
    bench.rows.add(1)
    assert bench.sender.done
    bench.retained.announce("health", b"{}")
    assert bench.fill() == ["health"]
    assert not bench.sender.done
    bench.window.acknowledge(1)
    assert bench.sender.done
    bench.may_send = True
    assert not bench.sender.done
    assert bench.fill() == ["result"]


def test_a_careful_connection_lets_verdicts_pass_replies(bench: SenderOnConnection) -> None:
    """With room for one message, a flood of requests takes every second place."""
    breaking = BreakingMessages()
    for _ in range(2):
        breaking.connection_ended([], 0.1)
    breaking.connected()
    bench.sender.begin(breaking, -60.0)
    bench.window.begin(1, 45.0)
    bench.rows.add(5)
    for _ in range(10):
        bench.retained.reply("trigger", b"{}", None)
    sent = []
    for _ in range(8):
        sent += bench.fill()
        bench.window.acknowledge(len(bench.connection.topics))
    assert sent.count("result") == 4
    assert sent.count("trigger") == 4


def test_a_long_correlation_is_not_kept() -> None:
    """A thousand replies may wait, so each holds little of what its requester sent."""
    topics = RetainedTopics("p/s")
    for length, returned in ((1024, True), (1025, False), (65_535, False)):
        topics.reply("trigger", b"{}", ReplyTo(None, bytes(length)))
        message = topics.next()
        assert message is not None
        assert (message.about.correlation is not None) == returned


def test_no_announcement_is_lost_at_a_reconnect() -> None:
    """One thread announces, another connects and sends: the newest body of each topic is sent."""
    topics = RetainedTopics("p/s")
    last = 3000

    def announce() -> None:
        for number in range(last + 1):
            topics.announce(f"topic{number % 50}", b"%d" % number)

    thread = threading.Thread(target=announce)
    thread.start()
    sent: dict[str, int] = {}
    alive = True
    while alive:
        alive = thread.is_alive()
        topics.connected()
        while (message := topics.next()) is not None:
            sent[message.topic] = int(message.body)
    thread.join()
    assert sorted(sent.values()) == list(range(last - 49, last + 1))
