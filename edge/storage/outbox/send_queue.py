"""The send queue: rows that wait for the broker, the newest in memory, older ones in the file."""

import logging
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence

from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.sqlite import OutboxError

log = logging.getLogger(__name__)

_CACHED = 512  # stored rows that stay in memory, so that a row just written is not read again


class SendQueue:
    """A read-through cache: waiting rows above `floor` are in memory, the others in the file. Safe
    between threads, except `batch`, which is for one thread.

    unsure: the last `batch` may lack rows, because the file could not be read.
    generation: identifies the file; it rises when the store opens another one.
    """

    def __init__(
        self,
        reader: OutboxReader,
        floor: int,
        operating_time: Callable[[], float],
        *,
        generation: int = 1,
        on_damage: Callable[[OutboxError, int], None] = lambda _error, _generation: None,
    ) -> None:
        """Starts with nothing in memory.

        floor: the highest number in the file.
        operating_time: returns that of the outbox, seconds.
        on_damage: called on the thread of `batch` with the error and the generation of the file.
        """
        self.unsure = False
        self.generation = generation
        self._on_damage = on_damage
        self._reader, self._operating_time = reader, operating_time
        self._lock = threading.Lock()
        self._floor = self._newest = floor
        self._rows: dict[int, OutboxRow] = {}
        self._stored: set[int] = set()
        self._order: list[int] = []  # numbers in memory, ascending; some are no longer there
        self._file_is_new = False

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        """The oldest rows with `seq` above `after` and below `before` that may be sent, in order.
        Never raises: rows that the file cannot give now come later (`unsure`)."""
        while (found := self._batch(after, limit, before)) is None:
            pass  # rows left memory after the file was read: read both again
        return found

    def _batch(self, after: int, limit: int, before: int | None) -> list[OutboxRow] | None:
        with self._lock:
            floor, generation = self._floor, self.generation
            if self._file_is_new:
                self._file_is_new = False
                self._reader.close()
        self.unsure = False
        found: list[OutboxRow] = []
        if after < floor:
            top = floor + 1 if before is None else min(before, floor + 1)
            try:
                found = self._reader.batch(after, limit, top)
            except OutboxError as error:
                self.unsure = True
                self._on_damage(error, generation)
                return []  # newer rows must not be sent first
        if len(found) < limit:
            more = self._from_memory(max(after, floor), limit - len(found), before)
            if more is None:
                return found or None
            found += more
        return found

    def fresh(self, after: int, limit: int) -> list[OutboxRow]:
        """The same from memory; empty when an older row is only in the file. Never waits for a
        disk."""
        return self._from_memory(after, limit, None) or []

    def newest(self) -> int:
        """The highest number that may be sent now; 0: none yet."""
        with self._lock:
            return self._newest

    def age_s(self, row: OutboxRow) -> float:
        """Seconds of operating time that a row has waited."""
        return max(0.0, self._operating_time() - row.stored_at)

    def show(self, rows: Sequence[OutboxRow], *, stored: bool) -> None:
        """These rows may be sent from now on; their numbers are higher than all before.

        stored: whether they are on disk.
        """
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
        """These numbers are in the file now."""
        with self._lock:
            self._stored.update(number for number in numbers if number in self._rows)
            self._forget_old()

    def done(self, number: int) -> None:
        """The broker has the row or refuses it permanently, or the row was dropped."""
        with self._lock:
            self._rows.pop(number, None)
            self._stored.discard(number)

    def cached_rows(self) -> list[OutboxRow]:
        """The stored rows that are still in memory."""
        with self._lock:
            return [self._rows[number] for number in sorted(self._stored)]

    def file_changed(self, last: int, generation: int) -> None:
        """The store has opened another file, which holds numbers up to `last`."""
        with self._lock:
            self.generation = generation
            self._file_is_new = True
            self._newest = max(self._newest, last)
            # every waiting row that is not in memory is in the file
            self._floor = min(self._rows) - 1 if self._rows else self._newest

    def read_again(self, last: int) -> None:
        """Every waiting row is in the file, which holds numbers up to `last`."""
        with self._lock:
            self._rows.clear()
            self._stored.clear()
            self._order.clear()
            self._floor = self._newest = max(self._newest, last)

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()

    def _from_memory(self, after: int, limit: int, before: int | None) -> list[OutboxRow] | None:
        """None: some waiting rows above `after` are only in the file."""
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
        """Drops the oldest stored rows from memory: the file has them."""
        if len(self._order) > 2 * len(self._rows) + 64:
            self._order = [number for number in self._order if number in self._rows]
        if len(self._rows) <= _CACHED:
            return
        dropped = 0
        for number in self._order:
            if len(self._rows) <= _CACHED:
                break
            if number in self._rows:
                if number not in self._stored:
                    break
                del self._rows[number]
                self._stored.discard(number)
            self._floor = number
            dropped += 1
        del self._order[:dropped]
