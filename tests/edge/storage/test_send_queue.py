"""What the publisher reads: memory and file as one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.send_queue import _CACHED, SendQueue
from tests.support.outbox_rows import rows_from


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[OutboxDatabase]:
    """With the rows 1 to 20 in the file."""
    box = OutboxDatabase(tmp_path / "outbox.db", 2**24, 3600.0)
    box.apply(OutboxChanges(rows=rows_from(1, 20)), 1.0)
    yield box
    box.close()


@pytest.fixture
def waiting(outbox: OutboxDatabase, tmp_path: Path) -> Iterator[SendQueue]:
    """As after a start with 20 rows in the file, at 10 s of its clock."""
    view = SendQueue(OutboxReader(tmp_path / "outbox.db"), outbox.last, lambda: 10.0)
    yield view
    view.close()


def seqs(
    waiting: SendQueue, after: int = 0, limit: int = 10_000, before: int | None = None
) -> list[int]:
    """The numbers of a batch."""
    return [row.seq for row in waiting.batch(after, limit, before)]


def test_file_and_memory_are_one_in_order(waiting: SendQueue) -> None:
    """The older rows come from the file and the newer from memory, without seam or repetition."""
    waiting.show(rows_from(21, 10), stored=False)
    assert seqs(waiting) == list(range(1, 31))
    assert seqs(waiting, 18, 4) == [19, 20, 21, 22]
    assert seqs(waiting, 15, 100, 25) == list(range(16, 25))
    assert seqs(waiting, 25) == [26, 27, 28, 29, 30]
    assert waiting.newest() == 30


def test_what_is_done_is_gone(waiting: SendQueue) -> None:
    """A row in memory that the broker has is not handed out again."""
    waiting.show(rows_from(21, 5), stored=True)
    waiting.done(23)
    assert seqs(waiting, 20) == [21, 22, 24, 25]


def test_memory_is_bounded_and_loses_nothing(waiting: SendQueue, outbox: OutboxDatabase) -> None:
    """Rows that are stored leave memory past a bound, and are read from the file then."""
    for first in range(21, 2021, 50):
        rows = rows_from(first, 50)
        outbox.apply(OutboxChanges(rows=rows), 1.0)
        waiting.show(rows, stored=True)
    assert len(waiting.cached_rows()) <= _CACHED
    assert seqs(waiting) == list(range(1, 2021))


def test_what_is_on_no_disk_stays_in_memory(waiting: SendQueue) -> None:
    """However many they are, rows that no disk has are not forgotten."""
    waiting.show(rows_from(21, 3 * _CACHED), stored=False)
    assert seqs(waiting) == list(range(1, 21 + 3 * _CACHED))
    assert waiting.cached_rows() == []


def test_age_is_by_the_outbox_clock(waiting: SendQueue) -> None:
    """How long a row has waited, and never less than nothing."""
    old, future = rows_from(21, 1, at=4.0)[0], rows_from(22, 1, at=11.0)[0]
    assert waiting.age_s(old) == 6.0
    assert waiting.age_s(future) == 0.0


def test_a_file_that_cannot_be_read_holds_the_newer_back(tmp_path: Path) -> None:
    """Else order would be lost: nothing comes until the file can be read, and `unsure` says so."""
    reported: list[int] = []
    waiting = SendQueue(
        OutboxReader(tmp_path / "none.db"),
        20,
        lambda: 0.0,
        generation=3,
        on_damage=lambda _error, generation: reported.append(generation),
    )
    waiting.show(rows_from(21, 5), stored=False)
    assert seqs(waiting) == []
    assert waiting.unsure
    assert reported == [3]
    assert seqs(waiting, 20) == [21, 22, 23, 24, 25]
    waiting.close()


def test_another_file_is_read_from_then_on(
    waiting: SendQueue, outbox: OutboxDatabase, tmp_path: Path
) -> None:
    """After the file was rebuilt the reader sees the new one, and memory above it."""
    assert seqs(waiting) == list(range(1, 21))
    waiting.show(rows_from(21, 2), stored=False)
    outbox.close()
    for file in tmp_path.glob("outbox.db*"):
        file.unlink()
    fresh = OutboxDatabase(tmp_path / "outbox.db", 2**24, 3600.0)
    fresh.apply(OutboxChanges(rows=rows_from(15, 6)), 1.0)
    waiting.file_changed(fresh.last, 2)
    assert seqs(waiting) == list(range(15, 23))
    fresh.close()


def test_fresh_rows_are_those_of_memory_alone(waiting: SendQueue) -> None:
    """In order; none at all where an older one that waits is in the file."""
    waiting.show(rows_from(21, 5), stored=True)
    waiting.done(22)
    assert [row.seq for row in waiting.fresh(20, 3)] == [21, 23, 24]
    assert waiting.fresh(19, 3) == []
    assert waiting.fresh(25, 3) == []
