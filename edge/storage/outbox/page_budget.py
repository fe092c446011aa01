"""How many pages the outbox's file has in use, and how it shrinks."""

import contextlib
import sqlite3

from edge.storage.outbox.sqlite import used_pages

_SHRINK_PAGES = 16  # pages returned to the file system in one commit
_MUCH_PAGES = 256  # fewer free pages stay for the next rows
_SHRINK_AFTER_ROWS = 64  # below that, the question to SQLite costs more than it saves
_PAGES_A_ROW = 8  # upper bound of pages that a row takes beside its body: a leaf, and a path to it
_BODY_BYTES_A_PAGE = 4000


class PageBudget:
    """How many pages of the file are in use. For the writing connection.

    It asks SQLite only when the answer may matter: two questions per commit would be expensive.
    """

    def __init__(self, budget: int) -> None:
        """`budget`: pages that may be in use."""
        self._budget = budget
        self._room = 0  # pages that are certainly free
        self._deleted, self._shrinking = 0, True

    def excess(self, db: sqlite3.Connection, new: int) -> int:
        """Pages in use above the budget; 0 or less: none. `new`: an upper bound of the pages added
        since the last call."""
        self._room -= new
        if self._room < 0:
            self._room = self._budget - used_pages(db)
        return -self._room

    def shrink(self, db: sqlite3.Connection, deleted: int) -> None:
        """Returns some free pages to the file system, so that the file shrinks after an outage.
        `deleted`: the number of rows that the commit deleted."""
        self._deleted += deleted
        if not self._shrinking and self._deleted < _SHRINK_AFTER_ROWS:
            return
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        self._deleted, self._shrinking = 0, free > _MUCH_PAGES
        if self._shrinking:
            with contextlib.suppress(sqlite3.Error):  # the next commit meets the same fault
                # `execute` would take one step, and one step returns one page
                db.executescript(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})")


def pages_at_most(sizes: list[int]) -> int:
    """An upper bound of the pages that rows with bodies of these sizes, in bytes, take."""
    return sum(_PAGES_A_ROW + size // _BODY_BYTES_A_PAGE for size in sizes)
