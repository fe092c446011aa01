"""How many pages of the outbox's file are in use, asked of SQLite only when the answer may matter:
a commit of one row must not pay for two questions each time."""

import contextlib
import sqlite3

from edge.delivery.outboxfile import used_pages

PAGE = 4096
_SHRINK_PAGES = 64  # given back to the file system in one commit
_FEW_ROWS = 64  # deleted rows that are not worth a look
_EACH = 8  # pages that one more row may take beside its bytes: a leaf, and a way down to it
_BYTES = 4000  # of a body in a page of its own


def pages_at_most(bodies: list[int]) -> int:
    """Pages that rows of so many bytes may take, at most."""
    return sum(_EACH + size // _BYTES for size in bodies)


class Pages:
    """For one connection, the only one that writes."""

    def __init__(self, budget: int) -> None:
        """`budget`: pages that may be in use."""
        self._budget = budget
        self._room = 0  # pages that are surely left of it
        self._deleted, self._shrinking = 0, True

    def excess(self, db: sqlite3.Connection, new: int) -> int:
        """How many pages are in use past the budget, now that up to `new` were added since this was
        asked last; not above 0: none."""
        self._room -= new
        if self._room < 0:
            self._room = self._budget - used_pages(db)
        return -self._room

    def shrink(self, db: sqlite3.Connection, deleted: int) -> None:
        """Gives back a little of what is free, after a commit that deleted so many rows: after an
        outage the file becomes small again."""
        self._deleted += deleted
        if not self._shrinking and self._deleted < _FEW_ROWS:
            return
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        self._deleted, self._shrinking = 0, free > 4 * _SHRINK_PAGES
        if self._shrinking:
            with contextlib.suppress(sqlite3.Error):  # the next commit will tell
                db.execute(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})").fetchall()
