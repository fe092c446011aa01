"""What the publisher reads: the newest verdicts from memory, older ones from the outbox's file."""

import logging
import threading
from bisect import bisect_right
from collections.abc import Callable

from edge.delivery.outboxfile import OutboxError
from edge.delivery.outboxview import OutboxView
from edge.delivery.records import OutboxRow

log = logging.getLogger(__name__)

_KEPT = 512  # stored rows that stay in memory, so that a row just written is not read again


class Waiting:
    """Rows above `floor` are in memory, all of them that wait; those up to it are in the file.
    Safe between threads; `batch` is for one of them."""

    def __init__(
        self, view: OutboxView, floor: int, clock: Callable[[], float], generation: int = 1
    ) -> None:
        """`floor` is the highest number in the file. `clock` is the outbox's own, seconds.
        `generation` is which file it is, for `on_damage`."""
        self.unsure = False
        self._generation = generation
        self.on_damage: Callable[[OutboxError, int], None] = lambda _error, _generation: None
        self._view, self._clock = view, clock
        self._lock = threading.Lock()
        self._floor = self._newest = floor
        self._rows: dict[int, OutboxRow] = {}
        self._stored: set[int] = set()
        self._order: list[int] = []  # numbers in memory, ascending; some have gone
        self._fresh_view = False

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        """The oldest rows with `seq` above `after` and below `before` that may be sent, in order.
        Never raises: what the file does not give now it gives later (`unsure`)."""
        while (found := self._batch(after, limit, before)) is None:
            pass  # rows went from memory to the file between looking there and here
        return found

    def _batch(self, after: int, limit: int, before: int | None) -> list[OutboxRow] | None:
        with self._lock:
            floor, generation = self._floor, self._generation
            if self._fresh_view:
                self._fresh_view = False
                self._view.reopen()
        self.unsure = False
        found: list[OutboxRow] = []
        if after < floor:
            top = floor + 1 if before is None else min(before, floor + 1)
            try:
                found = self._view.batch(after, limit, top)
            except OutboxError as error:
                self.unsure = True
                self.on_damage(error, generation)
                return []  # else what is newer would go first, and order would be lost
        if len(found) < limit:
            more = self._from_memory(max(after, floor), limit - len(found), before)
            if more is None:
                return found or None
            found += more
        return found

    def fresh(self, after: int, limit: int) -> list[OutboxRow]:
        """The same from memory; none where some of them are in the file alone. Never waits for a
        disk."""
        return self._from_memory(after, limit, None) or []

    def newest(self) -> int:
        """The highest number that may be sent now; 0 when there is none yet."""
        with self._lock:
            return self._newest

    def age_s(self, row: OutboxRow) -> float:
        """Seconds that a row has waited while a daemon ran."""
        return max(0.0, self._clock() - row.stored_at)

    def show(self, rows: list[OutboxRow], *, stored: bool) -> None:
        """These may be sent from now on; numbers rise from call to call."""
        with self._lock:
            for row in rows:
                self._rows[row.seq] = row
                self._order.append(row.seq)
                if stored:
                    self._stored.add(row.seq)
            if rows:
                self._newest = rows[-1].seq
            self._forget_old()

    def stored(self, numbers: list[int]) -> None:
        """These are in the file now."""
        with self._lock:
            self._stored.update(number for number in numbers if number in self._rows)
            self._forget_old()

    def done(self, number: int) -> None:
        """The broker has it, or will never take it, or it was dropped."""
        with self._lock:
            self._rows.pop(number, None)
            self._stored.discard(number)

    def kept(self) -> list[OutboxRow]:
        """The stored rows that are in memory too."""
        with self._lock:
            return [self._rows[number] for number in sorted(self._stored)]

    def file_changed(self, last: int, generation: int) -> None:
        """The file is another one, which holds numbers up to `last`."""
        with self._lock:
            self._generation = generation
            self._fresh_view = True
            self._newest = max(self._newest, last)
            # what waits and is not here is in the file
            self._floor = min(self._rows) - 1 if self._rows else self._newest

    def close(self) -> None:
        """Closes the file."""
        self._view.close()

    def _from_memory(self, after: int, limit: int, before: int | None) -> list[OutboxRow] | None:
        """None: some of those that wait above `after` are in the file alone by now."""
        with self._lock:
            if self._floor > after:
                return None
            found = []
            for at in range(bisect_right(self._order, after), len(self._order)):
                number = self._order[at]
                if before is not None and number >= before:
                    break
                row = self._rows.get(number)
                if row is not None:
                    found.append(row)
                    if len(found) == limit:
                        break
            return found

    def _forget_old(self) -> None:
        """Of the oldest rows those that are stored may be read from the file again."""
        if len(self._order) > 2 * len(self._rows) + 64:
            self._order = [number for number in self._order if number in self._rows]
        if len(self._rows) <= _KEPT:
            return
        gone = 0
        for number in self._order:
            if len(self._rows) <= _KEPT:
                break
            if number in self._rows:
                if number not in self._stored:
                    break
                del self._rows[number]
                self._stored.discard(number)
            self._floor = number
            gone += 1
        del self._order[:gone]
