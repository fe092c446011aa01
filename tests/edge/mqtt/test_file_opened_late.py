"""The outbox's file could not be opened at the start; it opens while the broker is connected. Then
the older verdicts in it follow in this connection, not in the next."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.clock import Clock
from edge.mqtt.failover import Backoff
from edge.mqtt.send_scheduler import SendScheduler
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.send_queue import SendQueue
from tests.support.outbox_rows import HOUR, MB, rows_from

WINDOW = 20


class Acks:
    """Counts acknowledged rows."""

    def __init__(self, rows: SendQueue) -> None:
        self._rows = rows
        self.accepted: list[int] = []

    def accept(self, seq: int) -> None:
        """The broker has it."""
        self.accepted.append(seq)
        self._rows.done(seq)

    def park(self, seq: int, reason: str) -> None:
        """Never here."""
        raise AssertionError(seq, reason)


class Bench:
    """A scheduler over the queue of an outbox whose file, with the rows 1 to 3, is not open."""

    def __init__(self, path: Path) -> None:
        self.outbox = OutboxDatabase(path, 64 * MB, HOUR)
        self.outbox.apply(OutboxChanges(rows=rows_from(1, 3)), 1.0)
        self.rows = SendQueue(OutboxReader(path), 0, lambda: 1.5, generation=0)
        self.acks = Acks(self.rows)
        clock = Clock(tick=lambda: 1.5)
        self.scheduler = SendScheduler(
            self.rows, self.acks, clock, topic="t", backoff=Backoff(1.0, 1.0)
        )

    def give(self, first: int, count: int) -> None:
        """Verdicts that are in memory only."""
        self.rows.show(rows_from(first, count), stored=False)

    def send(self, *, answered: bool = True) -> list[tuple[int, bool]]:
        """Number and `replayed` of all that goes now."""
        sent: list[tuple[int, bool]] = []
        while more := [(row.seq, old) for row, old in self.scheduler.next(WINDOW)]:
            sent += more
            for seq, _ in more:
                if answered:
                    self.scheduler.settle(seq, 0, "")
        return sent

    def open_file(self) -> None:
        """The disk has room again."""
        self.rows.file_changed(self.outbox.last, 1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose files are closed in the end."""
    bench = Bench(tmp_path / "outbox.db")
    yield bench
    bench.rows.close()
    bench.outbox.close()


@pytest.mark.parametrize("connected", ["before", "after"])
def test_older_verdicts_follow_when_the_file_opens(bench: Bench, connected: str) -> None:
    """Verdicts of memory do not wait for the file: nothing else has them. What the file holds goes
    as soon as it is open, once, and live verdicts stay live."""
    if connected == "before":
        bench.scheduler.begin(WINDOW)
    bench.give(2001, 2)
    if connected == "after":
        bench.scheduler.begin(WINDOW)
    assert bench.send() == [(2001, connected == "after"), (2002, connected == "after")]
    bench.open_file()
    assert not bench.scheduler.empty()
    assert bench.send() == [(1, True), (2, True), (3, True)]
    bench.give(2003, 1)
    assert bench.send() == [(2003, False)]
    assert bench.send() == []
    assert bench.acks.accepted == [2001, 2002, 1, 2, 3, 2003]


def test_what_is_in_flight_is_not_sent_twice(bench: Bench) -> None:
    """The file opens while the broker has not answered."""
    bench.scheduler.begin(WINDOW)
    bench.give(2001, 2)
    assert bench.send(answered=False) == [(2001, False), (2002, False)]
    bench.open_file()
    assert bench.send() == [(1, True), (2, True), (3, True)]
    for seq in (2001, 2002):
        bench.scheduler.settle(seq, 0, "")
    assert bench.send() == []
    assert bench.scheduler.empty()
