"""The staging table of a salvage: a temporary file, because an outbox may hold more verdicts than
the box has memory."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.sqlite import connect, naming

_BATCH = 1000  # rows


class StagingTable:
    """Rows by number, one each. A context manager, which deletes the file at its end."""

    def __init__(self, outbox: Path, on_progress: Callable[[], None] = lambda: None) -> None:
        """Creates the file beside `outbox`, and deletes what a killed salvage has left.

        on_progress: called for every thousand rows that are added or read.

        Raises OutboxError when the disk refuses, like every method here.
        """
        self._path, self._on_progress = place_of(outbox), on_progress
        self._waiting: list[OutboxRow] = []
        with naming(self._path, "written"):
            self._path.unlink(missing_ok=True)
            self._db = connect(self._path)
            # the file need not survive a crash
            self._db.execute("PRAGMA journal_mode=OFF")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute(
                "CREATE TABLE rows (seq INTEGER PRIMARY KEY, stored_at REAL, body BLOB)"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError, sqlite3.Error):
            self._db.close()
            self._path.unlink(missing_ok=True)

    def add(self, row: OutboxRow) -> None:
        """Adds a row, unless its number is there already."""
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
        """The newest time, on the outbox's own clock; 0: no row."""
        return self._ask("SELECT max(stored_at) FROM rows") or 0.0

    def batches(self) -> Iterator[list[OutboxRow]]:
        """All rows in the order of their numbers, in batches."""
        self._flush()
        after = 0
        some = "SELECT seq, stored_at, body FROM rows WHERE seq > ? ORDER BY seq LIMIT ?"
        while True:
            with naming(self._path, "read"):
                rows = [OutboxRow(*row) for row in self._db.execute(some, (after, _BATCH))]
            if not rows:
                return
            yield rows
            after = rows[-1].seq
            if len(rows) == _BATCH:
                self._on_progress()

    def _ask(self, question: str) -> float | None:
        self._flush()
        with naming(self._path, "read"):
            (found,) = self._db.execute(question).fetchone()
        return None if found is None else float(found)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._insert("INSERT OR IGNORE", waiting)

    def _insert(self, how: str, rows: Sequence[OutboxRow]) -> None:
        if not rows:
            return
        with naming(self._path, "written"):
            self._db.execute("BEGIN")
            self._db.executemany(
                f"{how} INTO rows VALUES (?, ?, ?)",
                [(row.seq, row.stored_at, row.body) for row in rows],
            )
            self._db.execute("COMMIT")


def place_of(outbox: Path) -> Path:
    """The staging file of an outbox."""
    return outbox.with_name(f"{outbox.name}.salvage")
