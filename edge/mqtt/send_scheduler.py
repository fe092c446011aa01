"""Which row goes next. Two lanes: what is stored while we are connected is live and goes first, at
once and in order; what was there before is the backlog, which follows in order at its own pace and
never takes the half of the window that the live lane needs."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Protocol

from edge.core.clock import Clock
from edge.mqtt.backoff import Backoff
from edge.mqtt.puback import CAUSES, Cause, in_words, meaning
from edge.storage import OutboxRow

log = logging.getLogger(__name__)

WINDOW = 20
DENIED_S = 300.0  # an ACL is mended by people
_LATE_S = 2.0  # a row that waited longer is not live any more
_ODD_TRIES = 8
_UNSURE_S = 1.0  # until the disk is asked again for what it did not give
_BURST_S = 0.25  # of the pace: so much may go at once
_REMEMBERED = 8192  # numbers of rows that were answered


class RowSource(Protocol):
    """The rows that wait, for a thread that never writes them."""

    @property
    def unsure(self) -> bool:
        """Whether the last `batch` may have left rows out, since the disk did not give them."""
        ...

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        """The oldest rows with `after` < seq (< `before`) that may be sent, in order."""
        ...

    def newest(self) -> int:
        """The highest number that may be sent now; 0 when there was none ever."""
        ...

    def age_s(self, row: OutboxRow) -> float:
        """Seconds that a row has waited."""
        ...


class Acknowledge(Protocol):
    """Where is reported what became of a row."""

    def accept(self, seq: int) -> None:
        """The broker has it."""
        ...

    def park(self, seq: int, reason: str) -> None:
        """The broker will never take it."""
        ...


class SendScheduler:
    """Rows by their own numbers, from the outbox to their answer. `refused` counts answers by
    cause; `trouble` says what holds the rows back, empty when nothing does. `replay_per_s` may be
    set: the pace of the backlog, 0: as fast as the window lets."""

    def __init__(
        self,
        view: RowSource,
        acknowledge: Acknowledge,
        environment: Clock,
        *,
        topic: str,
        backoff: Backoff,
    ) -> None:
        """`topic`: of results, for sentences."""
        self.replay_per_s = 0.0
        self.refused: Counter[Cause] = Counter(dict.fromkeys(CAUSES, 0))
        self.trouble = ""
        self._view, self._acknowledge, self._environment = view, acknowledge, environment
        self._topic, self._backoff = topic, backoff
        self._done: OrderedDict[int, None] = OrderedDict()  # answered, perhaps not yet deleted
        self._in_flight: dict[int, bool] = {}  # seq -> whether it is of the backlog
        self._tries: Counter[int] = Counter()
        self._window = 1
        self._live_from = 1
        self._live = self._backlog = 0  # the last number that each lane has looked at
        self._drained = False
        self._hold_until = 0.0
        self._tokens, self._filled = 0.0, environment.tick()

    def begin(self, window: int) -> None:
        """A new connection: nothing is on its way, and all that is stored is backlog."""
        self._window = window
        self._in_flight.clear()
        self._backlog = 0
        self._hold_until = 0.0
        self._all_is_backlog()

    def next(self, room: int) -> Iterator[tuple[OutboxRow, bool]]:
        """At most `room` rows to send now, live ones first; True: it is replayed. Each has to be
        `sent` before the next one is taken. Raises OutboxError."""
        if self._held():
            return
        before = len(self._in_flight)
        for row in self._live_rows(room):
            self._in_flight[row.seq] = False
            yield row, False
        room -= len(self._in_flight) - before
        share = max(1, self._window // 2) - sum(self._in_flight.values())
        for row in self._backlog_rows(min(room, share)):
            self._in_flight[row.seq] = True
            yield row, True

    def wait_s(self, longest: float) -> float:
        """For how many seconds nothing is due, but for new rows and answers."""
        held_for = self._hold_until - self._environment.tick()
        if held_for > 0:
            return min(longest, held_for)
        if self._view.unsure:
            return min(longest, _UNSURE_S)
        if self._drained or not self.replay_per_s or self._tokens >= 1:
            return longest
        return min(longest, (1 - self._tokens) / self.replay_per_s)

    def empty(self) -> bool:
        """Whether no row waits that may be sent."""
        if self._held():
            return True
        if self._in_flight or self._view.batch(self._live, 1):
            return False
        return self._drained or not self._view.batch(self._backlog, 1, self._live_from)

    def settle(self, seq: int, code: int, why: str) -> None:
        """The broker's answer for a row."""
        self._in_flight.pop(seq, None)
        what, cause = meaning(code)
        if cause is None:
            self.accept(seq)
            return
        self._tries[seq] += 1
        if what == "odd" and self._tries[seq] >= _ODD_TRIES:
            what = "never"
        if what == "never":
            self.park(seq, cause, why)
            return
        self._count(cause, why)
        self._backlog = min(self._backlog, seq - 1)
        self._drained = False
        pause = DENIED_S if what == "denied" else self._backoff.next()
        self._hold_until = max(self._hold_until, self._environment.tick() + pause)

    def accept(self, seq: int) -> None:
        """The broker has it."""
        self._remember(seq)
        self._tries.pop(seq, None)
        self._acknowledge.accept(seq)
        if self.trouble:
            log.info("delivery: the broker takes verdicts again")
            self.trouble = ""
            self._backoff.reset()

    def park(self, seq: int, cause: Cause, why: str) -> None:
        """It will never be taken."""
        self._in_flight.pop(seq, None)
        self._tries.pop(seq, None)
        self.refused[cause] += 1
        self._remember(seq)
        log.error("delivery: verdict %d is parked: %s (%s)", seq, in_words(cause, self._topic), why)
        self._acknowledge.park(seq, why)

    def _remember(self, seq: int) -> None:
        self._done[seq] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def _count(self, cause: Cause, why: str) -> None:
        self.refused[cause] += 1
        sentence = in_words(cause, self._topic)
        if sentence != self.trouble:
            level = logging.ERROR if cause == "denied" else logging.WARNING
            log.log(level, "delivery: %s (%s); verdicts wait in the outbox", sentence, why)
        self.trouble = sentence

    def _held(self) -> bool:
        if not self._hold_until:
            return False
        if self._environment.tick() < self._hold_until:
            return True
        self._hold_until = 0.0
        self._all_is_backlog()
        return False

    def _all_is_backlog(self) -> None:
        newest = self._view.newest()
        self._live_from, self._live = newest + 1, newest
        self._drained = False

    def _live_rows(self, room: int) -> Iterator[OutboxRow]:
        # again and again, since a batch may hold nothing but rows that are done already
        left = room
        while left > 0 and (rows := self._view.batch(self._live, left)):
            if not 0 <= self._view.age_s(rows[0]) <= _LATE_S:
                self._all_is_backlog()  # it could not go in time: newer ones first now
                return
            for row in rows:
                self._live = row.seq
                if self._is_new(row):
                    left -= 1
                    yield row

    def _backlog_rows(self, room: int) -> Iterator[OutboxRow]:
        if self._drained:
            return
        left = room if not self.replay_per_s else min(room, self._fill())
        while left > 0:
            rows = self._view.batch(self._backlog, left, self._live_from)
            self._drained = not rows and not self._view.unsure
            if not rows:
                return
            for row in rows:
                self._backlog = row.seq
                if self._is_new(row):
                    left -= 1
                    self._tokens -= 1
                    yield row

    def _is_new(self, row: OutboxRow) -> bool:
        return row.seq not in self._done and row.seq not in self._in_flight

    def _fill(self) -> int:
        now = self._environment.tick()
        most = max(1.0, self.replay_per_s * _BURST_S)
        self._tokens = min(most, max(0.0, self._tokens) + (now - self._filled) * self.replay_per_s)
        self._filled = now
        return int(self._tokens)
