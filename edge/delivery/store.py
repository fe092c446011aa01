"""The outbox's file as something that may break: opens it, mends it, and opens it again.

Above this the writer sees a disk that takes a commit or does not. Below is SQLite.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge.delivery.carving import behind_the_break
from edge.delivery.damage import salvage
from edge.delivery.numbers import BLOCK, InUseError, Numbers, Progress
from edge.delivery.outbox import Outbox
from edge.delivery.outboxfile import OutboxError, wal_of
from edge.delivery.outboxview import OutboxView
from edge.delivery.records import CommitResult, FileStats, OutboxRow, OutboxStats
from edge.delivery.renewal import finish_renewal, renewed
from edge.delivery.spool import Spool
from edge.environment import Environment

log = logging.getLogger(__name__)

_FAR = 20 * BLOCK  # more numbers than one process gives without a record of it


class Store:
    """For one thread, once it has been built. Counters are for `health`."""

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        max_age_s: float,
        environment: Environment,
        *,
        mending: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens the file, or makes it, or sets a damaged one aside. A disk that refuses is no
        error here: `fault` says so, and `open` tries again. `mending`, which may be set anew, is
        called now and then while many verdicts are saved, which may take minutes. Raises
        OutboxError for what only a person can mend: another daemon on this file, a file of a newer
        version, no permission."""
        self.mending = mending
        self.fault = ""
        self.generation = 0  # rises when the file is opened
        self.damaged = self.salvaged = self.lost_at_most = self.skipped = 0
        self.kept: Callable[[], Sequence[OutboxRow]] = tuple  # stored rows that memory has too
        self._path, self._limits = path, (max_bytes, max_age_s)
        self._environment = environment
        self._outbox: Outbox | None = None
        self._base = 0.0 - environment.tick()
        try:
            self.numbers = Numbers(path)
        except InUseError:
            raise OutboxError(
                f"{path}: another edge-inspect uses this outbox; stop it, or give each its own "
                "outbox.path"
            ) from None
        # something is there that another run has left, and only it knows the next number
        unknown = not self.numbers.known and any(map(_size, (path, wal_of(path))))
        try:
            self.open()
        except OutboxError as error:
            if error.kind == "hopeless" or unknown:
                self.numbers.close()
                raise
        self.first = self._first_number()

    @property
    def last(self) -> int:
        """The highest number in the file; 0 without it."""
        return self._outbox.last if self._outbox is not None else 0

    def clock(self) -> float:
        """Seconds that this outbox has been in use. Safe between threads."""
        return self._base + self._environment.tick()

    def new_view(self) -> OutboxView:
        """For another thread that reads."""
        return OutboxView(self._path)

    def open(self) -> None:
        """Opens the file, and mends it. Raises OutboxError."""
        self._close()
        try:
            try:
                self._open()
            except OutboxError as error:
                if error.kind != "damaged":
                    raise
                self._begin_anew(str(error))
        except OutboxError as error:
            self.fault = str(error)
            raise
        self.fault = ""

    def apply(
        self,
        rows: Sequence[OutboxRow],
        receipts: Sequence[tuple[str, str]],
        accepted: Sequence[int],
        parked: Sequence[tuple[int, str]],
        *,
        given: int = 0,
        stale: Sequence[tuple[str, str]] = (),
    ) -> CommitResult:
        """One commit, see `Outbox.apply`. A file that is found damaged is set aside first, one
        that was deleted is written anew. Raises OutboxError when the disk refuses."""
        if self._outbox is None:
            self.open()
        assert self._outbox is not None
        if rows:
            self.numbers.reserve(rows[-1].seq, given=False)
        work = rows, receipts, accepted, parked
        try:
            if not self._outbox.is_there():
                self._write_anew(self._outbox)
            applied = self._outbox.apply(*work, self.clock(), given=given, stale=stale)
        except OutboxError as error:
            if error.kind != "damaged":
                self.fault = str(error)
                self._close()  # after an error of the disk nothing is sure
                raise
            self._begin_anew(str(error))
            applied = self._outbox.apply(*work, self.clock(), given=given, stale=stale)
        self.numbers.committed(Progress(self._outbox.last, applied.oldest))
        if applied.unlike:
            self.lost_at_most += applied.unlike
            log.error("%s: %d numbers stood for other verdicts", self._path, applied.unlike)
        return applied

    def mend(self, error: OutboxError) -> None:
        """Somebody who reads has found damage. Raises OutboxError when the disk refuses."""
        if self._outbox is not None:
            self._begin_anew(str(error))

    def holding(self) -> FileStats | None:
        """What is in the file; None when it cannot be said."""
        try:
            return self._outbox.holding() if self._outbox is not None else None
        except OutboxError:
            return None

    def stats(self, holding: FileStats | None) -> OutboxStats:
        """What is to be said of the file, which held this; what goes on above it is left out."""
        oldest = holding.oldest if holding is not None else None
        return OutboxStats(
            rows=holding.rows if holding is not None else 0,
            bytes=holding.bytes if holding is not None else 0,
            oldest_age_s=0.0 if oldest is None else max(0.0, self.clock() - oldest),
            parked=holding.parked if holding is not None else 0,
            damaged=self.damaged,
            salvaged=self.salvaged,
            lost_at_most=self.lost_at_most,
            skipped=self.skipped,
        )

    def close(self) -> None:
        """Closes the file, and gives the lock back."""
        self._close()
        self.numbers.close()

    def _first_number(self) -> int:
        """The number that the next verdict gets: one more than the last, or, where nobody knows
        what that was, one that was surely never given."""
        numbers, last = self.numbers, self.last
        said = numbers.progress.last if numbers.progress is not None else 0
        behind = last
        if self._outbox is not None and not self.damaged and said > last:
            self.lost_at_most += said - last
            log.error(
                "%s: holds numbers up to %d only, though %d were stored: the file was cut, deleted "
                "or put back; at most %d verdicts are lost",
                self._path,
                last,
                said,
                said - last,
            )
        unsure = numbers.given or self._outbox is None or self.damaged > 0 or said > last
        if numbers.unreadable:
            behind = max(last, said) + _FAR
        elif unsure or (last == 0 and numbers.reserved > 0):
            behind = max(last, said, numbers.reserved)
        if behind > last and self._outbox is not None:
            self.skipped = behind - last
            log.warning(
                "outbox: the last run did not end in order: the numbers %d to %d are not used, "
                "unless for verdicts that were sent already",
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
        finish_renewal(self._path)
        broken = behind_the_break(self._path)
        self._now_is(Outbox(self._path, *self._limits))
        assert self._outbox is not None
        if broken:
            self._take_in_broken(self._outbox.last, broken)

    def _take_in_broken(self, last: int, broken: Sequence[OutboxRow]) -> None:
        """What lay in SQLite's log behind damage. `last` is the highest number before it."""
        rows = {row.seq: row for row in broken if row.seq > last}
        self._take_in([rows[number] for number in sorted(rows)])
        said = self.numbers.progress.last if self.numbers.progress is not None else 0
        lost = max([said, *rows]) - last - len(rows)
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

    def _now_is(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._base = max(self._base, outbox.clock - self._environment.tick())
        self.generation += 1

    def _begin_anew(self, why: str) -> None:
        """Sets the file aside and goes on with one that holds what could be saved. Whenever this
        is interrupted, the next start finds the one or the other."""
        self._close()
        with self._spool() as spool:
            found = salvage(self._path, self.numbers.progress, spool)
            saved = len(spool)
            spool.replace(self.kept())
            count = len(spool)
            self._base = max(self._base, spool.latest - self._environment.tick())
            now, clock = self._environment.now(), self.clock()
            progress = self.numbers.progress
            aside = renewed(
                self._path,
                self._limits,
                ([_timed(row, clock) for row in rows] for rows in spool.batches()),
                found.receipts,
                now=now,
                clock=clock,
                given=progress.last if progress is not None else 0,
            )
        missing = max(0, found.lost_at_most - (count - saved))
        self._now_is(Outbox(self._path, *self._limits))
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

    def _spool(self) -> Spool:
        return Spool(self._path, lambda: self.mending())  # noqa: PLW0108  it may be another one by then

    def _write_anew(self, deleted: Outbox) -> None:
        """The file was deleted under us: what the open file still shows is written once more."""
        with self._spool() as spool:
            receipts = deleted.copy_into(spool)
            self._close()
            self._now_is(Outbox(self._path, *self._limits))
            count = len(spool)
            self._take_in([], receipts)
            for rows in spool.batches():
                self._take_in(rows)
        log.error(
            "%s: the file was deleted or replaced in use; its %d verdicts were written anew",
            self._path,
            count,
        )

    def _take_in(self, rows: Sequence[OutboxRow], receipts: Iterable[tuple[str, str]] = ()) -> None:
        assert self._outbox is not None
        clock = self.clock()
        self._outbox.apply([_timed(row, clock) for row in rows], list(receipts), [], [], clock)


def _timed(row: OutboxRow, clock: float) -> OutboxRow:
    """A row whose time is not known is as old as this moment."""
    return row if row.stored_at else OutboxRow(row.seq, clock, row.body)


def _size(path: Path) -> int:
    """Bytes; 0 without a file. Where the place itself is bad, something may be there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return 1
