"""Opens the outbox's file, and rebuilds it when it is damaged or deleted.

The writer above sees only a disk that takes a commit or refuses it.
"""

import contextlib
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edge.core.clock import Clock
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.ownership import numbers_of, require_ours
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import (
    CommitResult,
    FileStats,
    OutboxChanges,
    OutboxRow,
    OutboxStats,
)
from edge.storage.outbox.recovery.carve import rows_behind_damage
from edge.storage.outbox.recovery.quarantine import (
    RebuildHooks,
    finish_rebuild,
    quarantine_and_rebuild,
)
from edge.storage.outbox.recovery.salvage import last_number_seen, salvage
from edge.storage.outbox.recovery.staging import StagingTable
from edge.storage.outbox.sequence import (
    InUseError,
    Progress,
    SequenceAllocator,
    UntrustedError,
)
from edge.storage.outbox.sqlite import OutboxError, size_of, wal_of

log = logging.getLogger(__name__)


class OutboxStore:
    """For one thread after its construction.

    fault: why no file is open; empty: one is open.
    generation: rises when a file is opened.
    damaged, salvaged, lost_at_most, skipped: see `OutboxStats`.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        max_age_s: float,
        clock: Clock,
        *,
        hooks: RebuildHooks | None = None,
    ) -> None:
        """Opens the file, creates it, or rebuilds a damaged one with `hooks`.

        A disk that refuses is no error here: `fault` has the reason, and `open` tries again.
        Raises OutboxError when only a person can fix it: another daemon uses the file, a newer
        version or another program wrote it, a permission is missing, or the disk reads neither the
        file nor its numbers, so that a number might be issued twice.
        """
        self.fault = ""
        self.generation = 0
        self.damaged = self.salvaged = self.lost_at_most = self.skipped = 0
        self._path, self._limits = path, (max_bytes, max_age_s)
        self._clock = clock
        self._outbox: OutboxDatabase | None = None
        self._base = 0.0 - clock.tick()
        try:
            require_ours(path)  # before the file of numbers is created beside it
        except OutboxError as error:
            if error.kind == "permanent":
                raise
        try:
            self.numbers = SequenceAllocator(path)
        except InUseError:
            raise OutboxError(
                f"{path}: another edge-inspect uses this outbox; stop it, or give each its own "
                "outbox.path"
            ) from None
        except UntrustedError as error:
            raise OutboxError(f"{numbers_of(path)}: {error}") from None
        # without the records of an earlier run, only its file has the last number
        unknown = not self.numbers.known and any(map(size_of, (path, wal_of(path))))
        with ExitStack() as undo:  # whatever fails here, the lock is released
            undo.callback(self.close)
            if not self.numbers.known and not unknown:
                self.numbers.begin()
            last_seen = 0
            try:
                self.open(hooks or RebuildHooks())
            except OutboxError as error:
                found = last_number_seen(path) if unknown else 0
                if error.kind == "permanent" or found is None:
                    raise
                last_seen, self.numbers.unreadable = found, self.numbers.unreadable or unknown
            self.first = self._first_number(max(self.last, last_seen))
            undo.pop_all()

    @property
    def last(self) -> int:
        """The highest number in the file; 0 without it."""
        return self._outbox.last if self._outbox is not None else 0

    def operating_time(self) -> float:
        """Seconds that the outbox has been in use, over all runs. Safe between threads."""
        return self._base + self._clock.tick()

    def new_reader(self) -> OutboxReader:
        """A reader for another thread."""
        return OutboxReader(self._path)

    def open(self, hooks: RebuildHooks) -> None:
        """Opens the file, and rebuilds it when it is damaged. Raises OutboxError."""
        self._close()
        try:
            try:
                self._open()
            except OutboxError as error:
                if error.kind != "damaged":
                    raise
                self._rebuild(str(error), hooks)
        except OutboxError as error:
            self.fault = str(error)
            raise
        self.fault = ""

    def apply(self, changes: OutboxChanges, hooks: RebuildHooks | None = None) -> CommitResult:
        """One commit. First rebuilds a file that proves damaged, with `hooks`, and rewrites a
        deleted one. Raises OutboxError when the disk refuses."""
        hooks = hooks or RebuildHooks()
        if self._outbox is None:
            self.open(hooks)
        assert self._outbox is not None
        if changes.rows:
            self.numbers.reserve(changes.rows[-1].seq, unstored=False)
        if not (is_there := self._outbox.is_there()):
            self._require_no_other()
        try:
            if not is_there:
                self._restore_deleted(self._outbox, hooks)
            result = self._outbox.apply(changes, self.operating_time())
        except OutboxError as error:
            if error.kind != "damaged":
                self.fault = str(error)
                self._close()  # after an error of the disk nothing is certain
                raise
            self._rebuild(str(error), hooks)
            result = self._outbox.apply(changes, self.operating_time())
        self.numbers.committed(Progress(self._outbox.last, result.oldest))
        if result.conflicts:
            self.lost_at_most += result.conflicts
            log.error(
                "%s: %d verdicts not stored: other verdicts have their numbers",
                self._path,
                result.conflicts,
            )
        return result

    def rebuild(self, error: OutboxError, hooks: RebuildHooks) -> None:
        """A reader has found damage. Raises OutboxError when the disk refuses."""
        if self._outbox is not None:
            self._rebuild(str(error), hooks)

    def file_stats(self) -> FileStats | None:
        """The content of the file; None: no file is open, or it cannot be read."""
        try:
            return self._outbox.file_stats() if self._outbox is not None else None
        except OutboxError:
            return None

    def stats(self, file: FileStats | None) -> OutboxStats:
        """The statistics, without those of the writer. `file`: the last known `file_stats`."""
        file, now = file or FileStats(0, 0, None, 0), self.operating_time()
        return OutboxStats(
            rows=file.rows,
            bytes=file.bytes,
            oldest_age_s=0.0 if file.oldest is None else max(0.0, now - file.oldest),
            parked=file.parked,
            damaged=self.damaged,
            salvaged=self.salvaged,
            lost_at_most=self.lost_at_most,
            skipped=self.skipped,
        )

    def close(self) -> None:
        """Closes the file and releases the lock."""
        self._close()
        self.numbers.close()

    def _first_number(self, last: int) -> int:
        """The number of the next verdict: the last one plus one. When the last number is uncertain,
        a number that was certainly never issued."""
        numbers = self.numbers
        recorded = numbers.recorded_last
        if self._outbox is not None and not self.damaged and recorded > last:
            self.lost_at_most += recorded - last
            log.error(
                "%s: holds numbers up to %d only, though %d were stored: the file was cut, deleted "
                "or put back; at most %d verdicts are lost",
                self._path,
                last,
                recorded,
                recorded - last,
            )
        certain = self._outbox is not None and not self.damaged
        behind = numbers.last_issued_at_most(last, file_is_whole=certain)
        if behind > last and self._outbox is not None:
            self.skipped = behind - last
            log.warning(
                "outbox: the last run did not stop cleanly: the numbers %d to %d stay unused, "
                "except by verdicts that were sent already",
                last + 1,
                behind,
            )
        return behind + 1

    def _close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            with contextlib.suppress(OutboxError):
                outbox.close()

    def _open(self) -> None:
        require_ours(self._path)
        finish_rebuild(self._path)
        broken = rows_behind_damage(self._path)
        self._use(OutboxDatabase(self._path, *self._limits))
        assert self._outbox is not None
        if broken:
            self._store_carved(self._outbox.last, broken)

    def _store_carved(self, last: int, carved: Sequence[OutboxRow]) -> None:
        """Stores rows from behind the damage in SQLite's log; `last`: the highest one before it."""
        rows = {row.seq: row for row in carved if row.seq > last}
        self._store_rows([rows[number] for number in sorted(rows)])
        lost = max([self.numbers.recorded_last, *rows]) - last - len(rows)
        self.damaged += 1
        self.salvaged += len(rows)
        self.lost_at_most += lost
        log.error(
            "%s: the log of the outbox was damaged; %d verdicts behind the damage were saved, at "
            "most %d lost",
            self._path,
            len(rows),
            lost,
        )

    def _use(self, outbox: OutboxDatabase) -> None:
        self._outbox = outbox
        self._base = max(self._base, outbox.newest_time - self._clock.tick())
        self.generation += 1

    def _rebuild(self, why: str, hooks: RebuildHooks) -> None:
        """Replaces the file by a new one with all saved rows. See quarantine.py."""
        require_ours(self._path)
        self._close()
        with contextlib.closing(StagingTable(self._path, hooks.on_progress)) as staging:
            found = salvage(self._path, self.numbers.progress, staging)
            salvaged = len(staging)
            staging.replace(hooks.cached_rows())
            count = len(staging)
            self._base = max(self._base, staging.latest - self._clock.tick())
            now, operating_time = self._clock.now(), self.operating_time()
            aside = quarantine_and_rebuild(
                self._path,
                self._limits,
                (_timed(rows, operating_time) for rows in staging.batches()),
                found.receipts,
                now=now,
                operating_time=operating_time,
                used_up_to=self.numbers.recorded_last,
            )
        missing = max(0, found.lost_at_most - (count - salvaged))
        self._use(OutboxDatabase(self._path, *self._limits))
        self.damaged += 1
        self.salvaged += count
        self.lost_at_most += missing
        log.error(
            "%s; set aside as %s, %d verdicts saved, at most %d lost",
            why,
            aside,
            count,
            missing,
        )

    def _require_no_other(self) -> None:
        """Raises OutboxError when another program's file has taken the place of the open one. That
        stays open, because its rows are in no other file."""
        try:
            require_ours(self._path)
        except OutboxError as error:
            self.fault = str(error)
            raise

    def _restore_deleted(self, deleted: OutboxDatabase, hooks: RebuildHooks) -> None:
        """The file was deleted in use: copies the rows of the still open file into a new one."""
        with contextlib.closing(StagingTable(self._path, hooks.on_progress)) as staging:
            receipts = deleted.copy_into(staging)
            self._close()
            self._use(OutboxDatabase(self._path, *self._limits))
            count = len(staging)
            self._store_rows([], receipts)
            for rows in staging.batches():
                self._store_rows(rows)
        log.error(
            "%s: the file was deleted or replaced in use; its %d verdicts were written again",
            self._path,
            count,
        )

    def _store_rows(
        self, rows: Sequence[OutboxRow], receipts: Sequence[tuple[str, str]] = ()
    ) -> None:
        assert self._outbox is not None
        now = self.operating_time()
        self._outbox.apply(OutboxChanges(rows=_timed(rows, now), receipts=receipts), now)


def _timed(rows: Sequence[OutboxRow], operating_time: float) -> list[OutboxRow]:
    """The rows, with this operating time where they have none."""
    return [replace(row, stored_at=row.stored_at or operating_time) for row in rows]
