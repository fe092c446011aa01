"""The outbox's file: verdicts wait here, on disk, until the broker has acknowledged them.

One SQLite database in WAL mode with synchronous=FULL: a commit survives `kill -9` and a power cut.
Every row has its own checksum, because SQLite has none for its pages. The writer assigns the
numbers; this file remembers only the highest. At its cap it drops the oldest rows and counts them.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from edge.storage.outbox.page_budget import PageBudget, pages_at_most
from edge.storage.outbox.records import CommitResult, FileStats, OutboxChanges, OutboxRow
from edge.storage.outbox.recovery.staging import StagingTable
from edge.storage.outbox.schema import SCHEMA, schema_of, upgrade
from edge.storage.outbox.sqlite import (
    BUSY_MS,
    OutboxError,
    connect,
    identity_of,
    is_same_file,
    require_intact,
    require_regular_file,
    size_of,
    transaction,
    translate_errors,
    use_write_ahead_log,
    wal_of,
)

PAGE = 4096  # bytes
_CHECKED_BYTES = 64 * 2**20  # a larger file is checked row by row while it is read, not at start
_WAL_PAGES = 256
_ROWS_A_STATEMENT = 16
_LOG_BUSY_MS = 1000  # our own reader needs milliseconds, another program perhaps hours


class OutboxDatabase:
    """Writes the file. One object for one file, used by one thread."""

    def __init__(self, path: Path, max_bytes: int, max_age_s: float) -> None:
        """Opens or creates the file, and checks it. Raises OutboxError."""
        self._path = path
        self._max_age_s = max_age_s
        self._last = self._rows = self._parked = 0
        self._file = (0, 0)
        self._max_bytes = max_bytes
        cap = max_bytes // PAGE
        self._wal_pages = max(8, min(_WAL_PAGES, cap // 8))
        self._pages = PageBudget(max(8, cap - self._wal_pages - 2))  # the log takes the rest
        self._wal = wal_of(path)
        self._oldest: tuple[int, float] | None = None
        with translate_errors(path, "opened"):
            require_regular_file(path)
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
    def newest_time(self) -> float:
        """The operating time of the newest row, seconds; 0: no row."""
        with translate_errors(self._path, "read"):
            newest = "SELECT stored_at FROM outbox ORDER BY seq DESC LIMIT 1"
            found = self._db.execute(newest).fetchone()
        return float(found[0]) if found else 0.0

    def apply(self, changes: OutboxChanges, operating_time: float) -> CommitResult:
        """One commit, which also drops the oldest rows past the caps. `operating_time`: now,
        seconds. Raises OutboxError; then nothing has changed."""
        rows, receipts = changes.rows, changes.receipts
        with translate_errors(self._path, "written"):
            self._write_back_log()
        with translate_errors(self._path, "written"), self._commit() as db:
            # deleted rows first: they make room for the new ones
            earlier, later = _split(changes.accepted, rows[0].seq if rows else None)
            acked = self._delete(db, earlier)
            first = _oldest(db) if acked or self._oldest is None else self._oldest
            over_age = self._drop_old(db, operating_time, first)
            over_cap: list[int] = []
            added = conflicts = 0
            for start in range(0, len(rows), _ROWS_A_STATEMENT):
                chunk = rows[start : start + _ROWS_A_STATEMENT]
                more, unlike = _insert(db, chunk)
                added, conflicts = added + more, conflicts + unlike
                over_cap += self._drop_past_cap(db, [len(row.body) for row in chunk])
            if changes.stale:
                db.executemany("DELETE FROM judged WHERE camera=? AND receipt=?", changes.stale)
            if receipts:
                db.executemany("INSERT OR IGNORE INTO judged VALUES (?, ?)", receipts)
            acked += self._delete(db, later)
            self._park(db, changes.parked)
            over_cap += self._drop_past_cap(
                db, [len(text) for _, text in (*receipts, *changes.parked)]
            )
            gone = acked + len(over_age) + len(over_cap)
            if first is None or later or over_age or over_cap:
                first = _oldest(db)
            last = max([self._last, changes.used_up_to, *(row.seq for row in rows)])
            count = self._rows + added - gone
            db.execute("UPDATE state SET last=?, rows=? WHERE one=1", (last, count))
        self._last, self._rows, self._oldest = last, count, first
        self._pages.shrink(self._db, gone)
        return CommitResult(acked, over_cap, over_age, 0 if first is None else first[0], conflicts)

    def is_there(self) -> bool:
        """Whether the open file is still the one under its name."""
        return is_same_file(self._path, self._file)

    def copy_into(self, staging: StagingTable) -> list[tuple[str, str]]:
        """Copies all rows into `staging`; returns all receipts. Raises OutboxError."""
        with translate_errors(self._path, "read"):
            for row in self._db.execute("SELECT seq, stored_at, body FROM outbox ORDER BY seq"):
                staging.add(OutboxRow(*row))
            receipts = self._db.execute("SELECT camera, receipt FROM judged")
            return [(str(c), str(r)) for c, r in receipts]

    def file_stats(self) -> FileStats:
        """The content of the file. Raises OutboxError."""
        with translate_errors(self._path, "read"):
            size = self._path.stat().st_size + size_of(self._wal)
        oldest = None if self._oldest is None else self._oldest[1]
        return FileStats(self._rows, size, oldest, self._parked)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _set_up(self) -> None:
        db = self._db
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect in a new file only
        use_write_ahead_log(db, self._wal_pages, PAGE)
        version = schema_of(db, self._path)
        if self._path.stat().st_size <= _CHECKED_BYTES:
            require_intact(db)
        if version != SCHEMA:
            with self._commit():
                upgrade(db, version)
        # After a restart the broker may accept a verdict that it refused before.
        db.execute("UPDATE outbox SET parked=NULL WHERE parked IS NOT NULL")
        self._file = identity_of(self._path)
        last, rows = db.execute("SELECT last, rows FROM state").fetchone()
        (newest,) = db.execute("SELECT max(seq) FROM outbox").fetchone()
        if newest is not None and newest > last:
            # A disk that lies about flushes may keep a page of rows, but not the state of the
            # same commit. Rows above the last number would never be sent.
            last, rows = newest, db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        self._last, self._rows, self._oldest = int(last), int(rows), _oldest(db)

    @contextlib.contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        parked = self._parked
        try:
            with transaction(self._db) as db:
                yield db
        except BaseException:
            self._parked = parked
            raise

    def _write_back_log(self) -> None:
        """Empties a log that is past the cap together with the file. SQLite does not say when it
        cannot: it appends as long as the disk takes it. Raises OutboxError, sqlite3.Error."""
        log = size_of(self._wal)
        if log <= self._wal_pages * PAGE or self._path.stat().st_size + log <= self._max_bytes:
            return
        self._db.execute(f"PRAGMA busy_timeout={_LOG_BUSY_MS}")
        busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        self._db.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        if busy:
            raise OutboxError(
                f"{self._path}: the outbox is at outbox.max_mb, because another program holds it "
                "open and reads; end that program",
                "refused",
            )

    def _park(self, db: sqlite3.Connection, parked: Sequence[tuple[int, str]]) -> None:
        for seq, why in parked:
            new = "UPDATE outbox SET parked=? WHERE seq=? AND parked IS NULL"
            self._parked += db.execute(new, (why, seq)).rowcount

    def _delete(self, db: sqlite3.Connection, numbers: Sequence[int]) -> int:
        gone = 0
        for first, last in number_ranges(numbers):
            these = first, last
            if self._parked:
                aside = "SELECT count(parked) FROM outbox WHERE seq BETWEEN ? AND ?"
                self._parked -= db.execute(aside, these).fetchone()[0]
            gone += db.execute("DELETE FROM outbox WHERE seq BETWEEN ? AND ?", these).rowcount
        return gone

    def _drop_old(
        self, db: sqlite3.Connection, operating_time: float, first: tuple[int, float] | None
    ) -> list[int]:
        """Drops rows from the oldest to the first that is young enough: later rows are younger."""
        latest = operating_time - self._max_age_s
        if first is None or first[1] >= latest:
            return []
        oldest = db.execute("SELECT seq, stored_at FROM outbox ORDER BY seq LIMIT 1000")
        old = [int(seq) for seq, _ in takewhile(lambda row: row[1] < latest, oldest)]
        self._delete(db, old)
        return old

    def _drop_past_cap(self, db: sqlite3.Connection, added: list[int]) -> list[int]:
        """Drops the oldest rows until the pages in use fit the budget. The newest row stays.

        added: sizes of the bodies that came since the last call, bytes.
        """
        dropped: list[int] = []
        new = pages_at_most(added)
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


def number_ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each range of numbers without a gap. Acknowledgements come nearly in
    order, and one statement for a range costs little more than one for a row."""
    first = last = -1
    for number in sorted(numbers):
        if number > last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last


def _oldest(db: sqlite3.Connection) -> tuple[int, float] | None:
    """Number and time of the first row."""
    found = db.execute("SELECT seq, stored_at FROM outbox ORDER BY seq LIMIT 1").fetchone()
    return None if found is None else (int(found[0]), float(found[1]))


def _split(numbers: Sequence[int], at: int | None) -> tuple[Sequence[int], Sequence[int]]:
    """The numbers below `at`, and the others; None: all are below."""
    if at is None:
        return numbers, ()
    return [n for n in numbers if n < at], [n for n in numbers if n >= at]


def _insert(db: sqlite3.Connection, rows: Sequence[OutboxRow]) -> tuple[int, int]:
    """Number of rows added, and number of conflicts: another verdict has the row's number."""
    values = [v for r in rows for v in (r.seq, r.stored_at, zlib.crc32(r.body), r.body)]
    places = ", ".join(["(?, ?, NULL, ?, ?)"] * len(rows))
    # each statement releases Python's lock and must get it back: few statements are cheaper
    sql = f"INSERT OR IGNORE INTO outbox VALUES {places}"  # noqa: S608  question marks only
    added = db.execute(sql, values).rowcount
    if added == len(rows):
        return added, 0
    conflicts = 0
    for row in rows:  # a commit that reported an error may have stored it nevertheless
        found = db.execute("SELECT body FROM outbox WHERE seq=?", (row.seq,)).fetchone()
        conflicts += found is None or found[0] != row.body
    return added, conflicts
