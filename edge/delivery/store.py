"""The outbox's file as something that may break: opens it, mends it, and opens it again.

Above this the writer sees a disk that takes a commit or does not. Below is SQLite.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.delivery.damage import behind_the_break, salvage, set_aside
from edge.delivery.numbers import InUseError, Numbers
from edge.delivery.outbox import Applied, Holding, Outbox
from edge.delivery.outboxfile import OutboxError
from edge.delivery.outboxview import OutboxView
from edge.delivery.row import Row
from edge.environment import Environment

log = logging.getLogger(__name__)


class Store:
    """For one thread, once it has been built. Counters are for `health`."""

    def __init__(
        self, path: Path, max_bytes: int, max_age_s: float, environment: Environment
    ) -> None:
        """Opens the file, or makes it, or sets a damaged one aside. A disk that refuses is no
        error here: `fault` says so, and `open` tries again. Raises OutboxError for what only a
        person can mend: another daemon on this file, a file of a newer version, no permission."""
        self.fault = ""
        self.generation = 0  # rises when the file is opened
        self.damaged = self.salvaged = self.lost_at_most = 0
        self.kept: Callable[[], Sequence[Row]] = tuple  # stored rows that memory has too
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
        try:
            self.open()
        except OutboxError as error:
            unknown = not self.numbers.known and path.exists()  # which number would be the next?
            if error.kind == "hopeless" or unknown:
                self.numbers.close()
                raise
        last = self._outbox.last if self._outbox is not None else 0
        # without the file, or after damage, nobody knows the last number that was given
        unsure = self.numbers.given or self._outbox is None or self.damaged > 0
        self.first = (max(last, self.numbers.reserved) if unsure else last) + 1
        self.skipped = self.first - last - 1 if self._outbox is not None else 0
        if self.skipped:
            log.warning(
                "outbox: the last run did not end in order: the numbers %d to %d are not used, "
                "unless for verdicts that were sent already",
                last + 1,
                self.first - 1,
            )

    @property
    def is_open(self) -> bool:
        """Whether the file is there and took the last commit."""
        return self._outbox is not None

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
        with contextlib.suppress(OutboxError):
            self._close()
        try:
            self._open()
        except OutboxError as error:
            if error.kind == "damaged":
                self._begin_anew(error)
            else:
                self.fault = str(error)
                raise
        self.fault = ""

    def apply(
        self,
        rows: Sequence[Row],
        receipts: Sequence[tuple[str, str]],
        accepted: Sequence[int],
        parked: Sequence[tuple[int, str]],
    ) -> Applied:
        """One commit, see `Outbox.apply`. A file that is found damaged is set aside first. Raises
        OutboxError when the disk refuses."""
        if self._outbox is None:
            self.open()
        assert self._outbox is not None
        if rows:
            self.numbers.reserve(rows[-1].seq, given=False)
        try:
            return self._outbox.apply(rows, receipts, accepted, parked, self.clock())
        except OutboxError as error:
            if error.kind == "damaged":
                self._begin_anew(error)
                return self._outbox.apply(rows, receipts, accepted, parked, self.clock())
            self.fault = str(error)
            self._close()  # after an error of the disk nothing is sure
            raise

    def mend(self, error: OutboxError) -> None:
        """Somebody who reads has found damage. Raises OutboxError when the disk refuses."""
        if self._outbox is not None:
            self._begin_anew(error)

    def holding(self) -> Holding | None:
        """What is in the file; None when it cannot be said."""
        try:
            return self._outbox.holding() if self._outbox is not None else None
        except OutboxError:
            return None

    def close(self) -> None:
        """Closes the file, and gives the lock back."""
        self._close()
        self.numbers.close()

    def _close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.close()

    def _open(self) -> None:
        broken = behind_the_break(self._path)
        outbox = Outbox(self._path, *self._limits)
        self._base = max(self._base, outbox.clock - self._environment.tick())
        self._outbox = outbox
        self.generation += 1
        if broken:
            self._take_in([row for row in broken if row.seq > outbox.last])
            log.error(
                "%s: the log of the outbox was damaged; %d verdicts behind the damage were saved",
                self._path,
                len(broken),
            )

    def _begin_anew(self, error: OutboxError) -> None:
        self._close()
        try:
            aside = set_aside(self._path, self._environment.now())
        except OSError as refused:
            self.fault = f"{self._path}: damaged, and cannot be set aside ({refused.strerror})"
            raise OutboxError(self.fault, "refused") from refused
        found = salvage(aside)
        kept = self.kept()
        self._outbox = Outbox(self._path, *self._limits)
        self.generation += 1
        for row in kept:
            found.rows[row.seq] = row
        self._take_in([found.rows[number] for number in sorted(found.rows)], found.receipts)
        missing = max(0, found.lost_at_most - len(kept))
        self.damaged += 1
        self.salvaged += len(found.rows)
        self.lost_at_most += missing
        log.error(
            "%s; set aside as %s, %d verdicts saved, at most %d lost",
            error,
            aside.name,
            len(found.rows),
            missing,
        )

    def _take_in(self, rows: Sequence[Row], receipts: Sequence[tuple[str, str]] = ()) -> None:
        assert self._outbox is not None
        now = self.clock()
        timed = [row if row.stored_at else Row(row.seq, now, row.body) for row in rows]
        self._outbox.apply(timed, receipts, [], [], now)
