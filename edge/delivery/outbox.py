"""The outbox's file: verdicts wait here, on disk, until the broker has acknowledged them.

One SQLite database in WAL mode, synchronous=FULL: what is committed survives `kill -9` and a power
cut. Every row carries a checksum of its own, since SQLite has none for its pages. Numbers come from
whoever writes; this file only remembers the highest. At the cap the oldest go, counted.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from edge.delivery.outboxfile import (
    OutboxError,
    connect,
    naming,
    refuse_strangers,
    wal_of,
)
from edge.delivery.outboxrows import eldest, insert, runs
from edge.delivery.pages import PAGE, Pages, pages_at_most
from edge.delivery.records import CommitResult, FileStats, OutboxRow
from edge.delivery.spool import Spool

SCHEMA = 2
_MARK = 0x0ED6E000  # plus the schema: SQLite's application id, which vouches for the schema
_ROWS = """CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    stored_at REAL NOT NULL,
    parked TEXT,
    crc INTEGER NOT NULL,
    body BLOB NOT NULL
)"""
_OTHERS = """
CREATE INDEX IF NOT EXISTS outbox_parked ON outbox (seq) WHERE parked IS NOT NULL;
CREATE TABLE IF NOT EXISTS judged (
    camera TEXT NOT NULL,
    receipt TEXT NOT NULL,
    PRIMARY KEY (camera, receipt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL,
    rows INTEGER NOT NULL
);
"""
_CHECKED_BYTES = 64 * 2**20  # a larger file is checked while it is read, not at start
_WAL_PAGES = 256


class Outbox:
    """Writes the file: one of it, in one thread."""

    def __init__(self, path: Path, max_bytes: int, max_age_s: float) -> None:
        """Opens or creates the file, and checks it. Raises OutboxError."""
        self._path = path
        self._max_age_s = max_age_s
        self._last = self._rows = self._parked = 0
        self._file = (0, 0)
        cap = max_bytes // PAGE
        self._wal_pages = max(8, min(_WAL_PAGES, cap // 8))
        self._pages = Pages(max(8, cap - self._wal_pages - 2))  # in use, the log beside them
        self._log = wal_of(path)
        self._eldest: tuple[int, float] | None = None
        with naming(path, "opened"):
            refuse_strangers(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = connect(path)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise

    @property
    def last(self) -> int:
        """The highest number that was ever stored."""
        return self._last

    @property
    def clock(self) -> float:
        """The newest row's time on the outbox's own clock, seconds; 0 when there is none."""
        with naming(self._path, "read"):
            newest = "SELECT stored_at FROM outbox ORDER BY seq DESC LIMIT 1"
            found = self._db.execute(newest).fetchone()
        return float(found[0]) if found else 0.0

    def apply(
        self,
        rows: Sequence[OutboxRow],
        receipts: Sequence[tuple[str, str]],
        accepted: Sequence[int],
        parked: Sequence[tuple[int, str]],
        clock: float,
        *,
        given: int = 0,
        stale: Sequence[tuple[str, str]] = (),
    ) -> CommitResult:
        """One commit: stores rows and receipts, forgets accepted rows and `stale` receipts, sets
        parked ones aside, and drops the oldest past the caps.

        `clock` is the outbox's own, now. Numbers up to `given` are gone, also those of verdicts
        that needed no storing. Raises OutboxError, with nothing changed.
        """
        with naming(self._path, "written"), self._commit() as db:
            added, unlike = insert(db, rows)
            if stale:
                db.executemany("DELETE FROM judged WHERE camera=? AND receipt=?", stale)
            if receipts:
                db.executemany("INSERT OR IGNORE INTO judged VALUES (?, ?)", receipts)
            acked = self._delete(db, accepted)
            self._park(db, parked)
            sizes = [len(row.body) for row in rows]
            sizes += [len(text) for _, text in (*receipts, *parked)]
            first = eldest(db) if acked or self._eldest is None else self._eldest
            over_age = self._drop_old(db, clock, first)
            over_cap = self._drop_past_cap(db, pages_at_most(sizes))
            gone = acked + len(over_age) + len(over_cap)
            if over_age or over_cap:
                first = eldest(db)
            last = max([self._last, given, *(row.seq for row in rows)])
            count = self._rows + added - gone
            db.execute("UPDATE state SET last=?, rows=? WHERE one=1", (last, count))
        self._last, self._rows, self._eldest = last, count, first
        self._pages.shrink(self._db, gone)
        return CommitResult(acked, over_cap, over_age, 0 if first is None else first[0], unlike)

    def is_there(self) -> bool:
        """Whether the file that is open is still the one of that name."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def copy_into(self, spool: Spool) -> list[tuple[str, str]]:
        """Adds all rows; returns all receipts. Raises OutboxError."""
        with naming(self._path, "read"):
            for row in self._db.execute("SELECT seq, stored_at, body FROM outbox ORDER BY seq"):
                spool.add(OutboxRow(*row))
            receipts = self._db.execute("SELECT camera, receipt FROM judged")
            return [(str(c), str(r)) for c, r in receipts]

    def holding(self) -> FileStats:
        """What is in the file. Raises OutboxError."""
        with naming(self._path, "read"):
            size = self._path.stat().st_size
            with contextlib.suppress(FileNotFoundError):
                size += self._log.stat().st_size
        oldest = None if self._eldest is None else self._eldest[1]
        return FileStats(self._rows, size, oldest, self._parked)

    def close(self) -> None:
        """Closes the file; what is committed stays."""
        self._db.close()

    def _set_up(self) -> None:
        db = self._db
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts in a new file only
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={self._wal_pages}")
        db.execute(f"PRAGMA journal_size_limit={self._wal_pages * PAGE}")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        (mark,) = db.execute("PRAGMA application_id").fetchone()
        if version not in (0, 1, SCHEMA):
            if mark != _MARK + version:  # no version of ours wrote that: a byte was flipped
                raise sqlite3.DatabaseError(f"malformed: schema {version}")
            raise OutboxError(
                f"{self._path}: written by another edge-inspect (outbox schema {version}); "
                "install the newer version, or name a new file as outbox.path"
            )
        if self._path.stat().st_size <= _CHECKED_BYTES:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(f"malformed: {found}")
        if version != SCHEMA:
            self._renew(version)
        # What the broker would not take may be welcome after a restart.
        db.execute("UPDATE outbox SET parked=NULL WHERE parked IS NOT NULL")
        stat = self._path.stat()
        self._file = stat.st_dev, stat.st_ino
        last, rows = db.execute("SELECT last, rows FROM state").fetchone()
        self._last, self._rows, self._eldest = int(last), int(rows), eldest(db)

    def _renew(self, version: int) -> None:
        """Makes the tables, and takes over what an earlier version has left."""
        with self._commit() as db:
            last = 0
            if version == 1:
                (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
                db.execute("DROP INDEX outbox_parked")
                db.execute("DROP INDEX outbox_stored_at")
                db.execute("ALTER TABLE outbox RENAME TO former")
            db.execute(_ROWS)
            for statement in filter(str.strip, _OTHERS.split(";")):
                db.execute(statement)
            count = 0
            if version == 1:
                former = db.execute("SELECT seq, body FROM former")  # their age begins anew
                for seq, body in former:
                    row = (seq, 0.0, zlib.crc32(body), body)
                    db.execute("INSERT INTO outbox VALUES (?, ?, NULL, ?, ?)", row)
                    count, last = count + 1, max(last, seq)
                db.execute("DROP TABLE former")
            db.execute("INSERT INTO state VALUES (1, ?, ?)", (last, count))
            db.execute(f"PRAGMA user_version={SCHEMA}")
            db.execute(f"PRAGMA application_id={_MARK + SCHEMA}")

    @contextlib.contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        parked = self._parked
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            self._parked = parked
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise

    def _park(self, db: sqlite3.Connection, parked: Sequence[tuple[int, str]]) -> None:
        for seq, why in parked:
            new = "UPDATE outbox SET parked=? WHERE seq=? AND parked IS NULL"
            self._parked += db.execute(new, (why, seq)).rowcount

    def _delete(self, db: sqlite3.Connection, numbers: Sequence[int]) -> int:
        gone = 0
        for first, last in runs(numbers):
            these = first, last
            if self._parked:
                aside = "SELECT count(parked) FROM outbox WHERE seq BETWEEN ? AND ?"
                self._parked -= db.execute(aside, these).fetchone()[0]
            gone += db.execute("DELETE FROM outbox WHERE seq BETWEEN ? AND ?", these).rowcount
        return gone

    def _drop_old(
        self, db: sqlite3.Connection, clock: float, first: tuple[int, float] | None
    ) -> list[int]:
        """The first that is young ends it: what waits behind it is younger, or waits with it."""
        latest = clock - self._max_age_s
        if first is None or first[1] >= latest:
            return []
        oldest = db.execute("SELECT seq, stored_at FROM outbox ORDER BY seq LIMIT 1000")
        old = [int(seq) for seq, _ in takewhile(lambda row: row[1] < latest, oldest)]
        self._delete(db, old)
        return old

    def _drop_past_cap(self, db: sqlite3.Connection, new: int) -> list[int]:
        """The oldest, until the pages in use are within the budget; the newest row stays."""
        dropped: list[int] = []
        while (excess := self._pages.excess(db, new)) > 0:
            oldest = db.execute(
                "SELECT seq FROM outbox WHERE seq < (SELECT max(seq) FROM outbox) "
                "ORDER BY seq LIMIT ?",
                (excess * 4,),
            ).fetchall()
            if not oldest:
                break
            numbers = [int(seq) for (seq,) in oldest]
            self._delete(db, numbers)
            dropped += numbers
        return dropped
