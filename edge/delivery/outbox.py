"""The second hand-over: verdicts wait here, on disk, until the broker has acknowledged them.

One SQLite file in WAL mode, synchronous=FULL: what is committed survives `kill -9` and a power
cut. `seq` is the row's own AUTOINCREMENT number, so it rises by one a verdict and is never reused,
also when the row is long gone. Below the cap nothing is lost; at the cap the oldest go, counted.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.delivery.message import stored_body
from edge.errors import EdgeInspectError
from edge.verdict import Verdict

_SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    stored_at REAL NOT NULL,
    parked TEXT,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_parked ON outbox (seq) WHERE parked IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_stored_at ON outbox (stored_at);
CREATE TABLE IF NOT EXISTS judged (
    camera TEXT NOT NULL,
    receipt TEXT NOT NULL,
    PRIMARY KEY (camera, receipt)
) WITHOUT ROWID;
"""


class OutboxError(EdgeInspectError):
    """The outbox cannot be opened or written; the sentence names the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """A verdict that waits: its number, when it was stored (epoch seconds), its JSON."""

    seq: int
    stored_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """What waits, and what went since this process started. `oldest` is epoch seconds."""

    rows: int
    bytes: int
    oldest: float | None
    stored: int
    acked: int
    dropped: int
    parked: int


class OutboxView:
    """Reads the file, for a thread that never writes it."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        """Opens the file, which an `Outbox` has created. Raises OutboxError."""
        self._path, self._now = path, now
        with _naming(path, "opened"):
            self._db = _connect(path)
            self._db.execute("PRAGMA query_only=ON")

    def batch(self, after: int, limit: int, before: int | None = None) -> list[Row]:
        """The oldest rows with `seq` above `after` (and below `before`) that may be sent, in
        order."""
        with _naming(self._path, "read"):
            found = self._db.execute(
                "SELECT seq, stored_at, body FROM outbox WHERE seq > ? AND seq < ? "
                "AND parked IS NULL ORDER BY seq LIMIT ?",
                (after, before if before is not None else 2**63 - 1, limit),
            )
            return [Row(*row) for row in found]

    def newest(self) -> int:
        """The highest number that was ever stored."""
        with _naming(self._path, "read"):
            return _last_seq(self._db)

    def age_s(self, row: Row) -> float:
        """Seconds that a row has waited."""
        return self._now() - row.stored_at

    def is_judged(self, camera: str, receipt: str) -> bool:
        """Whether a verdict with this receipt was ever stored."""
        with _naming(self._path, "read"):
            found = self._db.execute(
                "SELECT 1 FROM judged WHERE camera=? AND receipt=?", (camera, receipt)
            )
            return found.fetchone() is not None

    def close(self) -> None:
        """Closes the file."""
        self._db.close()


class Outbox:
    """Writes the file: one of it, in one thread."""

    def __init__(self, path: Path, max_bytes: int, max_age_s: float) -> None:
        """Opens or creates the file. Raises OutboxError."""
        self._path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._stored = self._acked = self._dropped = 0
        with _naming(path, "opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _connect(path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _SCHEMA):
                raise OutboxError(
                    f"{path}: written by another edge-inspect (outbox schema {version}); "
                    "install the newer version, or name a new file as outbox.path"
                )
            self._db.executescript(f"{_TABLES} PRAGMA user_version={_SCHEMA};")
            # What the broker would not take may be welcome after a restart.
            self._db.execute("UPDATE outbox SET parked=NULL WHERE parked IS NOT NULL")
            rows, size = self._db.execute(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM outbox"
            ).fetchone()
        self._rows, self._bytes = int(rows), int(size)

    def apply(
        self,
        verdicts: Sequence[Verdict],
        accepted: Sequence[int],
        parked: Sequence[tuple[int, str]],
        now: float,
    ) -> list[int]:
        """One commit: stores verdicts, forgets accepted rows, sets parked ones aside, and drops
        the oldest past the caps. Returns the numbers of the stored rows.

        `now` is epoch seconds. Raises OutboxError, with nothing changed, when the disk refuses.
        """
        with _naming(self._path, "written"), self._commit() as db:
            first = _last_seq(db) + 1
            numbers = list(range(first, first + len(verdicts)))
            bodies = [stored_body(verdict, seq) for verdict, seq in zip(verdicts, numbers)]
            db.executemany(
                "INSERT INTO outbox (seq, stored_at, body) VALUES (?, ?, ?)",
                [(seq, now, body) for seq, body in zip(numbers, bodies)],
            )
            receipts = [(v.camera, v.receipt) for v in verdicts if v.receipt is not None]
            db.executemany("INSERT OR IGNORE INTO judged VALUES (?, ?)", receipts)
            acked, freed = _delete(db, accepted)
            db.executemany(
                "UPDATE outbox SET parked=? WHERE seq=?", [(why, seq) for seq, why in parked]
            )
            rows = self._rows + len(bodies) - acked
            size = self._bytes + sum(len(body) for body in bodies) - freed
            dropped, freed = self._drop_past_caps(db, rows, size, now)
        self._rows, self._bytes = rows - dropped, size - freed
        self._stored += len(bodies)
        self._acked += acked
        self._dropped += dropped
        return numbers

    def stats(self) -> OutboxStats:
        """Counts, and since when the oldest row waits."""
        with _naming(self._path, "read"):
            oldest = self._db.execute("SELECT min(seq), stored_at FROM outbox").fetchone()[1]
            (parked,) = self._db.execute(
                "SELECT count(*) FROM outbox WHERE parked IS NOT NULL"
            ).fetchone()
        return OutboxStats(
            self._rows, self._bytes, oldest, self._stored, self._acked, self._dropped, parked
        )

    def close(self) -> None:
        """Closes the file; what is committed stays."""
        self._db.close()

    @contextlib.contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _drop_past_caps(
        self, db: sqlite3.Connection, rows: int, size: int, now: float
    ) -> tuple[int, int]:
        expired = db.execute(
            "SELECT seq FROM outbox WHERE stored_at < ? ORDER BY seq LIMIT 1000",
            (now - self._max_age_s,),
        )
        dropped, freed = _delete(db, [row[0] for row in expired])
        while size - freed > self._max_bytes and rows - dropped > 1:
            oldest = db.execute("SELECT seq FROM outbox ORDER BY seq LIMIT 1").fetchone()
            gone, more = _delete(db, oldest)
            dropped, freed = dropped + gone, freed + more
        return dropped, freed


def _connect(path: Path) -> sqlite3.Connection:
    # Opened in the main thread, used in one other: hence no check of the thread.
    return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)


def _last_seq(db: sqlite3.Connection) -> int:
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name='outbox'").fetchone()
    return int(last[0]) if last else 0


def _delete(db: sqlite3.Connection, numbers: Sequence[int]) -> tuple[int, int]:
    gone = size = 0
    for number in numbers:
        found = db.execute(
            "DELETE FROM outbox WHERE seq=? RETURNING length(body)", (number,)
        ).fetchone()
        if found is not None:
            gone, size = gone + 1, size + int(found[0])
    return gone, size


@contextlib.contextmanager
def _naming(path: Path, what: str) -> Iterator[None]:
    """SQLite's and the system's errors as one sentence that names the file."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OutboxError(
            f"{path}: the outbox cannot be {what} ({why}); check outbox.path, its owner and the "
            "free space; move the file away if it is damaged"
        ) from error
