"""The staging table of a salvage: a temporary file, because an outbox may be larger than memory."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.sqlite import connect, translate_errors

_BATCH = 1000  # rows


class StagingTable:
    """Rows by number. `close` deletes the file."""

    def __init__(self, outbox: Path, on_progress: Callable[[], None] = lambda: None) -> None:
        """Creates the file beside `outbox`, and deletes the one of a killed salvage.

        on_progress: called for every thousand rows that are added or read.

        Like every other method, raises OutboxError when the disk refuses.
        """
        self._path, self._on_progress = staging_path(outbox), on_progress
        self._waiting: list[OutboxRow] = []
        with translate_errors(self._path, "written"):
            self._path.unlink(missing_ok=True)
            self._db = connect(self._path)
            # the file need not survive a crash
            self._db.execute("PRAGMA journal_mode=OFF")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute(
                "CREATE TABLE rows (seq INTEGER PRIMARY KEY, stored_at REAL, body BLOB)"
            )

    def close(self) -> None:
        """Deletes the file."""
        with contextlib.suppress(OSError, sqlite3.Error):
            self._db.close()
            self._path.unlink(missing_ok=True)

    def add(self, row: OutboxRow) -> None:
        """Adds a row, unless its number exists."""
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH:
            self._flush()
            self._on_progress()

    def replace(self, rows: Sequence[OutboxRow]) -> None:
        """Adds rows, which replace rows with the same numbers."""
        self._flush()
        self._insert("INSERT OR REPLACE", rows)

    def __len__(self) -> int:
        return int(self._ask("SELECT count(*) FROM rows") or 0)

    @property
    def lowest(self) -> int:
        """The lowest number; 0: no row."""
        return int(self._ask("SELECT min(seq) FROM rows") or 0)

    @property
    def highest(self) -> int:
        """The highest number; 0: no row."""
        return int(self._ask("SELECT max(seq) FROM rows") or 0)

    @property
    def latest(self) -> float:
        """The operating time of the newest row, seconds; 0: no row."""
        return self._ask("SELECT max(stored_at) FROM rows") or 0.0

    def batches(self) -> Iterator[list[OutboxRow]]:
        """All rows in the order of their numbers, in batches."""
        self._flush()
        after = 0
        some = "SELECT seq, stored_at, body FROM rows WHERE seq > ? ORDER BY seq LIMIT ?"
        while True:
            with translate_errors(self._path, "read"):
                rows = [OutboxRow(*row) for row in self._db.execute(some, (after, _BATCH))]
            if not rows:
                return
            yield rows
            after = rows[-1].seq
            if len(rows) == _BATCH:
                self._on_progress()

    def _ask(self, question: str) -> float | None:
        self._flush()
        with translate_errors(self._path, "read"):
            (found,) = self._db.execute(question).fetchone()
        return None if found is None else float(found)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._insert("INSERT OR IGNORE", waiting)

    def _insert(self, how: str, rows: Sequence[OutboxRow]) -> None:
        if not rows:
            return
        with translate_errors(self._path, "written"):
            self._db.execute("BEGIN")
            self._db.executemany(
                f"{how} INTO rows VALUES (?, ?, ?)",
                [(row.seq, row.stored_at, row.body) for row in rows],
            )
            self._db.execute("COMMIT")


def staging_path(outbox: Path) -> Path:
    """The staging file of an outbox."""
    return outbox.with_name(f"{outbox.name}.salvage")
