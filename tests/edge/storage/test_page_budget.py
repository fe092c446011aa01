"""How many pages are in use, without asking each time."""

import sqlite3
from collections.abc import Iterator

import pytest

from edge.storage.outbox.page_budget import PageBudget, pages_at_most


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """An empty database with a table of bodies."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, body BLOB)")
    yield connection
    connection.close()


@pytest.mark.parametrize("size", [1, 800, 4000, 4090, 40_000])
def test_no_row_takes_more_pages_than_reckoned(db: sqlite3.Connection, size: int) -> None:
    """The budget is never passed unseen, whatever the size of bodies: what is reckoned for a row
    is at least what it takes."""
    before = db.execute("PRAGMA page_count").fetchone()[0]
    for number in range(300):
        db.execute("INSERT INTO outbox VALUES (?, ?)", (number, bytes(size)))
        after = db.execute("PRAGMA page_count").fetchone()[0]
        assert after - before <= pages_at_most([size])
        before = after


def test_the_excess_is_seen_at_the_row_that_makes_it(db: sqlite3.Connection) -> None:
    """Asked after each row, the excess is above 0 exactly when more pages than the budget are in
    use."""
    pages = PageBudget(budget=100)
    for number in range(400):
        db.execute("INSERT INTO outbox VALUES (?, ?)", (number, bytes(1000)))
        used = db.execute("PRAGMA page_count").fetchone()[0]
        assert (pages.excess(db, pages_at_most([1000])) > 0) == (used > 100)


def test_sqlite_is_not_asked_while_there_is_room(db: sqlite3.Connection) -> None:
    """Of a hundred rows in a large file only the first asks how many pages there are."""
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    pages = PageBudget(budget=100_000)
    for _ in range(100):
        assert pages.excess(db, pages_at_most([1000])) <= 0
        pages.shrink(db, 0)
    # page_count and freelist_count for the excess; freelist_count for what an earlier run left
    assert len(asked) == 3


def test_each_commit_returns_several_pages(db: sqlite3.Connection) -> None:
    """After an outage the file shrinks in hundreds of commits, not in ten thousands."""
    for number in range(2000):
        db.execute("INSERT INTO outbox VALUES (?, ?)", (number, bytes(1000)))
    db.execute("DELETE FROM outbox WHERE seq > 10")
    pages = PageBudget(budget=100_000)
    (before,) = db.execute("PRAGMA freelist_count").fetchone()
    for _ in range(10):
        pages.shrink(db, 0)
    (after,) = db.execute("PRAGMA freelist_count").fetchone()
    assert before - after == 160
