"""The history's file: writes verdicts and minute aggregates, and keeps the file within its budget.

One SQLite database in WAL mode of its own, so that nothing of it can endanger the outbox. A commit
takes all verdicts of a few seconds and touches about ten small pages.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from edge.storage.history.aggregates import Aggregates, Sum
from edge.storage.history.contexts import Context, Contexts, Series
from edge.storage.history.packing import WHOLE, PackedBody, Packer, keep_whole, layout_of
from edge.storage.history.records import HistoryBody, HistorySettings
from edge.storage.history.schema import (
    PAGE,
    code_of,
    create,
    require_ours,
    require_schema,
    translate_errors,
)
from edge.storage.outbox.sqlite import (
    connect,
    identity_of,
    is_same_file,
    require_intact,
    size_of,
    transaction,
    use_write_ahead_log,
    used_pages,
    wal_of,
)

_CHECKED_BYTES = 64 * 2**20  # a larger file is checked row by row while it is read
_WAL_PAGES = 1000
_FEWEST_PAGES = 64  # of the log, and of the file
_SMALL_PAGES = 128  # on a disk that is almost full: the newest thousand verdicts
_CACHE_KB = 512
_DROPPED_ROWS = 2000  # in one commit, so that it stays short
_ROWS_A_PAGE = 14
_SHRINK_PAGES = 512  # in one step
_SLACK_PAGES = 128  # a commit adds before it drops
_MANY_CONTEXTS = 1000
_BACK_MS, _FAR_BACK_MS = 1000, 86_400_000
_MINUTE_MS = 60_000
_INSERT = "INSERT OR IGNORE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_NEWEST_RATE = (
    "SELECT pass_sample FROM verdict JOIN context ON context = context.id "
    "JOIN series ON series = series.id ORDER BY key DESC LIMIT 1"
)


class _ClockJumps:
    """Whether the clock had jumped back when a verdict was made."""

    def __init__(self) -> None:
        self.newest_ms = 0

    def is_doubtful(self, made_ms: int) -> bool:
        """Times are doubtful until they pass the newest one before the jump. After a jump over
        more than a day the earlier times were the wrong ones, and only the first is marked."""
        back = self.newest_ms - made_ms
        if back <= 0 or back > _FAR_BACK_MS:
            self.newest_ms = made_ms
        return back > _BACK_MS


class HistoryDatabase:
    """For one thread. `rows`: verdicts in the file. `unfit`: bodies that were no verdicts."""

    def __init__(
        self, path: Path, settings: HistorySettings, is_disk_low: Callable[[], bool] = lambda: False
    ) -> None:
        """Opens or creates the file. Raises HistoryError.

        settings: may be set.
        is_disk_low: then the file does not grow past 128 kB; old verdicts make room.
        """
        self.settings = settings
        self.rows = self.unfit = 0
        self._path, self._is_disk_low = path, is_disk_low
        self._packer, self._contexts = Packer(), Contexts()
        self._aggregates, self._clock_jumps = Aggregates(), _ClockJumps()
        self._base = self._highest = 0
        self._file = (0, 0)
        share = settings.max_bytes // PAGE // 8
        self._wal_pages = max(_FEWEST_PAGES, min(_WAL_PAGES, share))
        self._begun = False
        with translate_errors(path, "opened"):
            require_ours(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = connect(path)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise

    @property
    def oldest(self) -> float | None:
        """When the oldest verdict was captured, seconds since the epoch; None: there is none.
        Raises HistoryError."""
        oldest = "SELECT captured_ms FROM verdict ORDER BY key LIMIT 1"
        with translate_errors(self._path, "read"):
            found = self._db.execute(oldest).fetchone()
        return None if found is None else found[0] / 1000

    @property
    def size(self) -> int:
        """Bytes of the file and SQLite's log."""
        return size_of(self._path) + size_of(wal_of(self._path))

    @property
    def newest_number(self) -> int:
        """The outbox's number of the newest verdict; 0 or less: of this outbox there is none."""
        return self._highest - self._base

    @property
    def oldest_number(self) -> int:
        """The same of the oldest verdict. Raises HistoryError."""
        with translate_errors(self._path, "read"):
            (oldest,) = self._db.execute("SELECT min(key) FROM verdict").fetchone()
        return 0 if oldest is None else oldest - self._base

    @property
    def newest_rate(self) -> float | None:
        """`pass_sample` of the newest verdict; None: there is no verdict. Raises HistoryError."""
        with translate_errors(self._path, "read"):
            found = self._db.execute(_NEWEST_RATE).fetchone()
        return None if found is None else float(found[0])

    def begin(self, next_number: int) -> None:
        """`next_number`: the one that the outbox gives next. When a verdict here has it already,
        the outbox counts from 1 again."""
        self._begun = True
        if next_number <= self.newest_number:
            self._base = self._highest

    def add(self, bodies: Sequence[HistoryBody], now: float | None) -> bool:
        """One commit: remembers verdicts, and drops the oldest past the budget.

        now: seconds since the epoch; None: the clock is not to be trusted, so nothing is too old.

        Returns whether the file is still past its budget: call it again, without verdicts. Raises
        HistoryError; then nothing has changed.
        """
        with translate_errors(self._path, "written"), self._commit() as db:
            before = used_pages(db)
            packed = self._packed(bodies)
            if packed and not self._begun:
                self._begun = True
                if min(one.seq for one, _ in packed) <= self.newest_number:
                    self._base = self._highest  # the outbox counts from 1 again
            added = self._insert(db, packed)
            self._aggregates.write(db)
            gone = self._drop_old(db, now)
            self._aggregates.drop_old(db, now, self.settings.max_bytes)
            budget = max(_FEWEST_PAGES, self.settings.max_bytes // PAGE - self._wal_pages)
            if self._is_disk_low():
                budget = min(budget, max(before, _SMALL_PAGES))
            over = used_pages(db) - budget
            dropped = self._drop_past_budget(db, over) if over > 0 else 0
        self.rows += added - gone - dropped
        with translate_errors(self._path, "written"):
            shrinks = self._shrink(budget)
        return shrinks or gone >= _DROPPED_ROWS or dropped >= _DROPPED_ROWS

    def add_late(self, bodies: Sequence[HistoryBody]) -> int:
        """One commit with verdicts of a damaged file or of the outbox; returns how many were
        missing here. Raises HistoryError."""
        with translate_errors(self._path, "written"), self._commit() as db:
            added = self._insert(db, self._packed(bodies))
            self._aggregates.write(db)
        self.rows += added
        return added

    def add_minutes(self, minutes: Sequence[tuple[int, Series, Sum]]) -> None:
        """Adds minute aggregates of a damaged file, where there are none. Raises HistoryError."""
        with translate_errors(self._path, "written"), self._commit() as db:
            for minute, series, one in minutes:
                self._aggregates.add(minute, self._contexts.series_id(db, series), one)
            self._aggregates.write(db, replace=False)

    def carry_over(self, base: int) -> None:
        """This new file follows a damaged one whose highest base was this."""
        self._base = max(self._base, base)

    def is_there(self) -> bool:
        """Whether the open file is still the one under its name."""
        return is_same_file(self._path, self._file)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _set_up(self) -> None:
        db = self._db
        db.execute(f"PRAGMA page_size={PAGE}")  # this and the next take effect in a new file only
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        use_write_ahead_log(db, self._wal_pages, PAGE)
        db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        if not require_schema(db, self._path):
            with self._commit():
                create(db)
        if size_of(self._path) <= _CHECKED_BYTES:
            require_intact(db)
        (self.rows,) = db.execute("SELECT count(*) FROM verdict").fetchone()
        (self._base,) = db.execute("SELECT coalesce(max(base), 0) FROM context").fetchone()
        newest = "SELECT key, captured_ms, numbers FROM verdict ORDER BY key DESC LIMIT 1"
        if (found := db.execute(newest).fetchone()) is not None:
            self._highest = int(found[0])
            self._clock_jumps.newest_ms = PackedBody(b"", 0, found[1], None, None, found[2]).made_ms
        self._aggregates.open(db)
        self._file = identity_of(self._path)
        if db.execute("SELECT count(*) FROM context").fetchone()[0] > _MANY_CONTEXTS:
            db.execute("DELETE FROM context WHERE id NOT IN (SELECT DISTINCT context FROM verdict)")

    @contextlib.contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        before = self._base, self._highest, self._begun
        try:
            with transaction(self._db) as db:
                yield db
        except BaseException:
            self._base, self._highest, self._begun = before
            self._contexts.clear()
            self._aggregates.clear()
            with contextlib.suppress(sqlite3.Error):
                if not self._db.in_transaction:
                    self._aggregates.open(self._db)
            raise

    def _packed(self, bodies: Sequence[HistoryBody]) -> list[tuple[PackedBody, HistoryBody]]:
        packed = []
        for one in bodies:
            try:
                packed.append((self._packer.pack(one.body), one))
            except ValueError:
                self.unfit += 1
        return packed

    def _insert(
        self, db: sqlite3.Connection, bodies: Sequence[tuple[PackedBody, HistoryBody]]
    ) -> int:
        """Inserts verdicts whose numbers are not there yet; returns how many."""
        added = 0
        spans: dict[int, tuple[int, int]] = {}
        for found, (body, rate, salvaged) in bodies:
            base = self._base if salvaged is None else salvaged
            one, context = self._context(db, found, body, base, rate)
            key = base + one.seq
            values = one.captured_ms, code_of(context.verdict), self._doubt(one, key)
            row = key, context.id, *values, one.part, one.texts, one.numbers
            if not db.execute(_INSERT, row).rowcount:
                continue
            added += 1
            self._highest = max(self._highest, key)
            minute = one.captured_ms // _MINUTE_MS
            self._aggregates.count(minute, context.series, *_measures(one, body))
            for when in {minute, one.made_ms // _MINUTE_MS}:
                first, last = spans.get(when, (key, key))
                spans[when] = min(first, key), max(last, key)
        db.executemany(
            "INSERT INTO span VALUES (?, ?, ?) ON CONFLICT (minute) DO UPDATE SET "
            "first = min(first, excluded.first), last = max(last, excluded.last)",
            [(minute, *keys) for minute, keys in spans.items()],
        )
        return added

    def _context(
        self, db: sqlite3.Connection, packed: PackedBody, body: bytes, base: int, rate: float
    ) -> tuple[PackedBody, Context]:
        context = self._contexts.find(db, packed, body, base, rate)
        if context is None:
            packed = keep_whole(body)
            context = self._contexts.find(db, packed, body, base, rate)
        assert context is not None
        return packed, context

    def _doubt(self, one: PackedBody, key: int) -> int:
        """1: the clock had jumped back. Verdicts that come late say nothing of it."""
        return int(key > self._highest and self._clock_jumps.is_doubtful(one.made_ms))

    def _drop_old(self, db: sqlite3.Connection, now: float | None) -> int:
        if now is None:
            return 0
        latest = (now - self.settings.max_age_s) * 1000
        oldest = db.execute(
            "SELECT key, captured_ms FROM verdict ORDER BY key LIMIT ?", (_DROPPED_ROWS,)
        )
        old = [key for key, _ in takewhile(lambda row: row[1] < latest, oldest)]
        return self._drop(db, old[-1]) if old else 0

    def _drop_past_budget(self, db: sqlite3.Connection, pages: int) -> int:
        count = min(_DROPPED_ROWS, pages * _ROWS_A_PAGE + _ROWS_A_PAGE)
        last = "SELECT max(key) FROM (SELECT key FROM verdict ORDER BY key LIMIT ?)"
        (key,) = db.execute(last, (count,)).fetchone()
        if key is None:  # the aggregates go last
            self._aggregates.drop_some(db)
            return 0
        return self._drop(db, key)

    @staticmethod
    def _drop(db: sqlite3.Connection, last: int) -> int:
        gone = db.execute("DELETE FROM verdict WHERE key <= ?", (last,)).rowcount
        db.execute(
            "DELETE FROM span WHERE last <= ? AND minute IN "
            "(SELECT minute FROM span ORDER BY minute LIMIT 200)",
            (last,),
        )
        return gone

    def _shrink(self, budget: int) -> bool:
        """Returns some free pages to the file system, after the budget was lowered. Whether there
        are more."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        if pages <= budget + _SLACK_PAGES or free <= _SLACK_PAGES:
            return False
        self._db.executescript(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})")  # to its end
        return bool(free > _SHRINK_PAGES + _SLACK_PAGES)


def _measures(packed: PackedBody, body: bytes) -> tuple[int | None, int]:
    """Score in millionths, and the time from capture to verdict in microseconds."""
    if packed.template != WHOLE:
        layout = layout_of(packed.template)
        return layout.score(packed.numbers), layout.latency_us(packed.numbers)
    values = json.loads(body)
    score = values.get("score")
    latency = (values.get("latency_ms") or {}).get("capture_to_verdict") or 0.0
    return (None if score is None else round(score * 1e6)), round(latency * 1000)
