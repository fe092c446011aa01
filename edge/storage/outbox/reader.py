"""Reads the outbox while another thread writes it."""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.sqlite import connect, translate_errors

_CACHE_KB = 256  # rows are read once, in order: SQLite's usual 2 MB would be wasted


class OutboxReader:
    """For one thread. Opens the file at the first read, and again after `close` or an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        """The oldest rows with `seq` above `after` and below `before` that may be sent, in order.
        Raises OutboxError, also for a row with a wrong checksum."""
        with self._reading() as db:
            found = db.execute(
                "SELECT seq, stored_at, crc, body FROM outbox WHERE seq > ? AND seq < ? "
                "AND parked IS NULL ORDER BY seq LIMIT ?",
                (after, before if before is not None else 2**62, limit),
            )
            rows = []
            for seq, at, crc, body in found:
                if not isinstance(body, bytes) or zlib.crc32(body) != crc:
                    raise sqlite3.DatabaseError(f"malformed: verdict {seq} has a wrong checksum")
                rows.append(OutboxRow(seq, at, body))
            return rows

    def is_judged(self, camera: str, receipt: str) -> bool:
        """Whether a verdict with this receipt was ever stored. Raises OutboxError."""
        with self._reading() as db:
            found = db.execute(
                "SELECT 1 FROM judged WHERE camera=? AND receipt=?", (camera, receipt)
            )
            return found.fetchone() is not None

    def receipts(self, camera: str) -> list[str]:
        """All receipts of a camera. Raises OutboxError."""
        with self._reading() as db:
            found = db.execute("SELECT receipt FROM judged WHERE camera=?", (camera,))
            return [str(receipt) for (receipt,) in found]

    def close(self) -> None:
        """Closes the file; the next read opens the file that is there then."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translate_errors(self._path, "read"):
            try:
                if self._db is None:
                    self._path.stat()  # SQLite would create a missing file
                    self._db = connect(self._path)
                    self._db.execute("PRAGMA query_only=ON")
                    self._db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
                yield self._db
            except BaseException:
                self.close()
                raise
