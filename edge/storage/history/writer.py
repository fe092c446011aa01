"""The thread that remembers verdicts. `add` offers one, and never waits.

One commit takes the verdicts of five seconds. A kill loses at most those of them that the broker
has acknowledged; the next start adds the others from the outbox. While the disk refuses, verdicts
wait in memory up to a bound; the ones past it are not remembered, and are counted.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from edge.core.clock import Clock
from edge.storage.history.catch_up import add_outbox_rows
from edge.storage.history.database import HistoryDatabase
from edge.storage.history.records import HistoryBody, HistoryError, HistorySettings, HistoryStats
from edge.storage.history.recovery import (
    finish_salvage,
    highest_base,
    salvage_minutes,
    salvage_path,
    salvage_verdicts,
    set_aside,
)
from edge.storage.outbox.reader import OutboxReader

log = logging.getLogger(__name__)

COMMIT_S = 5.0
BATCH = 500  # verdicts in one commit; that many are committed early
_QUEUE_BYTES = 2 * 2**20
_STEP_S = 0.2  # between two steps of a salvage or of making room
_CATCH_UP_S = 0.05  # between two steps of catching up, which must be faster than the publisher
_STEADY_S = 3600.0  # after a jump of the clock nothing is too old for this time
_JUMP_S = 60.0
_OUT_OF_ORDER = 10_000  # numbers: while its disk refuses, the outbox stores later ones first
_LOW_DISK = 64 * 2**20  # bytes; the outbox needs the rest


class HistoryWriter:
    """Any thread may call `add`, `stats`, `adopt`, `report_damage` and `close`."""

    def __init__(
        self,
        path: Path,
        settings: HistorySettings,
        clock: Clock,
        *,
        outbox: OutboxReader | None = None,
        next_number: Callable[[], int] | None = None,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        """Opens nothing before `run`.

        - `outbox`: whenever the history's file is opened, the verdicts that only the outbox has
          are added first. Only this thread uses the reader.
        - `next_number`: returns the number that the outbox gives next; needed with `outbox`.
        - `free_bytes`: of the disk that holds this folder.
        """
        self._path, self._settings, self._clock = path, settings, clock
        self._free_bytes = free_bytes or _free_bytes
        self._changed = threading.Condition()
        self._queue: deque[HistoryBody] = deque()
        self._queued_bytes = 0
        self._due = float("inf")  # when the thread has work, monotonic seconds
        self._closing = self._damage = False
        self._ended = threading.Event()
        self._stats = HistoryStats()
        self._not_remembered = 0
        self._db: HistoryDatabase | None = None
        self._outbox, self._next_number = outbox, next_number
        self._missing: Iterator[int] | None = None  # adds what the file lacks, in steps
        self._salvages = False
        self._offset, self._steady_from = 0.0, float("inf")

    def add(self, body: bytes) -> None:
        """A `result` body as the outbox stored it. Never waits."""
        with self._changed:
            if not self._settings.max_bytes:
                return
            if self._queued_bytes + len(body) > _QUEUE_BYTES:
                self._not_remembered += 1
                return
            self._queue.append(HistoryBody(body, self._settings.pass_sample))
            self._queued_bytes += len(body)
            if len(self._queue) == 1:
                self._wake_at(self._clock.tick() + COMMIT_S)
            elif len(self._queue) == BATCH and not self._stats.fault:
                self._wake_at(0.0)

    def stats(self) -> HistoryStats:
        """The history after its last commit."""
        with self._changed:
            return replace(self._stats, not_remembered=self._not_remembered)

    def adopt(self, settings: HistorySettings) -> None:
        """Other settings, from the next verdict on."""
        with self._changed:
            if settings != self._settings:
                self._settings = settings
                self._wake_at(0.0)

    @property
    def settings(self) -> HistorySettings:
        """The settings in force."""
        return self._settings

    def report_damage(self, error: HistoryError) -> None:
        """A reader found the file damaged: it is set aside."""
        if error.kind == "damaged":
            with self._changed:
                self._damage = True
                self._wake_at(0.0)

    def close(self) -> None:
        """Asks the thread to write the waiting verdicts, and to end."""
        with self._changed:
            self._closing = True
            self._wake_at(0.0)

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended, waiting up to `timeout` seconds for it."""
        return self._ended.wait(timeout)

    def run(self) -> None:
        """Until closed."""
        self._ended.clear()
        with self._changed:
            self._wake_at(0.0)  # the file is opened, checked and brought within its budget
        ended = False
        while not ended:
            with self._changed:
                while (wait_s := self._due - self._clock.tick()) > 0:
                    self._changed.wait(None if wait_s == float("inf") else wait_s)
            ended = self.run_once()
        self._close_file()
        self._ended.set()

    def run_once(self) -> bool:
        """One commit. True: closed, and nothing more can be done."""
        with self._changed:
            closing, settings = self._closing, self._settings
            damage, self._damage = self._damage, False
            count = 0 if self._waits_for_outbox() else min(BATCH, len(self._queue))
            batch = [self._queue[n] for n in range(count)]
            self._due = float("inf")
        more, fault = False, ""
        try:
            if settings.max_bytes:
                more = self._write(batch, settings, damaged=damage, closing=closing)
            else:
                self._close_file()
        except HistoryError as error:
            fault = str(error)
        with self._changed:
            self._finished(0 if fault else len(batch), fault, more=more and not closing)
            return closing and (bool(fault) or not self._queue)

    def _waits_for_outbox(self) -> bool:
        """Whether new verdicts wait until those of the outbox are in the file: a kill meanwhile
        must leave no gap before the newest verdict. Too many do not wait."""
        if self._outbox is None or not self._settings.max_bytes:
            return False
        if self._queued_bytes > _QUEUE_BYTES // 2:
            return False
        return self._db is None or (self._missing is not None and not self._salvages)

    def _wake_at(self, due: float) -> None:
        if due < self._due:
            self._due = due
            self._changed.notify_all()

    def _finished(self, written: int, fault: str, *, more: bool) -> None:
        """After a commit, under the lock."""
        if fault and fault != self._stats.fault:
            log.error("%s; verdicts go on, but are not remembered", fault)
        elif self._stats.fault and not fault:
            log.warning("history: verdicts are remembered again")
        for _ in range(written):
            self._queued_bytes -= len(self._queue.popleft().body)
        self._stats = replace(self._stats, fault=fault, **self._file_stats())
        catches_up = self._missing is not None and not self._salvages
        pause = (_CATCH_UP_S if catches_up else _STEP_S) if more else COMMIT_S
        if more or fault or self._queue:
            hurries = self._closing or (len(self._queue) >= BATCH and not fault)
            self._wake_at(0.0 if hurries else self._clock.tick() + pause)

    def _file_stats(self) -> dict[str, int]:
        db = self._db
        return {} if db is None else {"rows": db.rows, "bytes": db.size}

    def _write(
        self, batch: list[HistoryBody], settings: HistorySettings, *, damaged: bool, closing: bool
    ) -> bool:
        """Whether there is more to do. Raises HistoryError."""
        if damaged:
            self._set_aside("a reader found it damaged")
        for last in (False, True):
            try:
                db = self._opened(settings)
                lacks = self._add_missing(closing=closing)
                more = db.add(batch, self._trusted_now())
                break
            except HistoryError as error:
                if error.kind != "damaged" or last:
                    raise
                self._set_aside(str(error))
        self._stats = replace(self._stats, oldest=db.oldest)
        return more or lacks

    def _opened(self, settings: HistorySettings) -> HistoryDatabase:
        if self._db is not None and not self._db.is_there():
            log.error("%s: was deleted or replaced in use; a new one begins", self._path)
            self._close_file()
        if self._db is None:
            self._db = HistoryDatabase(self._path, settings, self._is_disk_low)
            if self._next_number is not None:
                self._db.begin(self._next_number())
            self._missing = self._steps(self._db)
        self._db.settings = settings
        return self._db

    def _set_aside(self, why: str) -> None:
        log.error("%s; a new history begins", why)
        self._close_file()
        set_aside(self._path, self._clock.now())
        self._stats = replace(self._stats, damaged=self._stats.damaged + 1)
        base = highest_base(salvage_path(self._path))
        self._opened(self._settings).carry_over(base)

    def _steps(self, db: HistoryDatabase) -> Iterator[int]:
        """Adds what the file lacks; yields the number of verdicts that each step saved. Minutes
        come last: only those without a verdict are copied."""
        damaged = salvage_path(self._path)
        self._salvages = damaged.exists()
        known = max(db.oldest_number - 1, db.newest_number - _OUT_OF_ORDER, 0)
        after = 0 if self._salvages else known
        parts: list[Iterator[int]] = []
        if self._outbox is not None:
            parts.append(add_outbox_rows(self._outbox, db, after))
        if self._salvages:
            parts = [salvage_verdicts(damaged, db), *parts, salvage_minutes(damaged, db)]
        return chain(*parts)

    def _add_missing(self, *, closing: bool) -> bool:
        """One step. Whether there are more."""
        if self._missing is None or (closing and self._salvages):
            return False
        try:
            saved = next(self._missing)
        except StopIteration:
            self._missing = None
            if self._salvages:
                aside = finish_salvage(self._path, self._clock.now())
                log.warning("history: %d verdicts of %s saved", self._stats.salvaged, aside)
            return False
        except HistoryError:
            self._close_file()  # opened again, the steps begin again, and skip what was added
            raise
        self._stats = replace(self._stats, salvaged=self._stats.salvaged + saved)
        return True

    def _close_file(self) -> None:
        self._missing = None
        if self._db is not None:
            self._db.close()
            self._db = None

    def _trusted_now(self) -> float | None:
        """Seconds since the epoch; None for an hour after the start and after a jump of the clock:
        a wrong date must not delete the history."""
        now, tick = self._clock.now(), self._clock.tick()
        if abs(now - tick - self._offset) > _JUMP_S:
            self._offset, self._steady_from = now - tick, tick
        return now if tick - self._steady_from >= _STEADY_S else None

    def _is_disk_low(self) -> bool:
        try:
            return self._free_bytes(self._path.parent) < _LOW_DISK
        except OSError:
            return False


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
