"""The thread that writes the outbox: gathers what came while the last commit ran, and commits it
as one, so that a slow disk costs neither a frame nor a write a verdict.

`strict`: a verdict may be sent when it is on disk; while there are many they are written together
(pace.py). `balanced`: at once, and it is on disk a little later unless the broker has it by then.
While the disk refuses both go on from memory, bounded.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.delivery.held import Held, HeldVerdict, Pending, Work, receipts_of
from edge.delivery.holding import Holding
from edge.delivery.inbox import BEAT_S
from edge.delivery.message import stored_body
from edge.delivery.numbers import BLOCK
from edge.delivery.outboxfile import OutboxError
from edge.delivery.pace import Pace
from edge.delivery.row import Row
from edge.delivery.stats import CAUSES, Cause, OutboxStats
from edge.delivery.store import Store
from edge.delivery.waiting import Waiting
from edge.environment import Environment
from edge.terms import Durability
from edge.verdict import Verdict

log = logging.getLogger(__name__)

_QUEUE = 256  # verdicts that may wait for the disk before inspection waits too
_HELD = 10_000  # verdicts held in memory while the disk refuses, and
_HELD_BYTES = 32 * 2**20
_BATCH = 256  # rows in one commit, which may stand in the log and in the file at once
_ACK_DELAY_S = 1.0  # acknowledgements wait for company: losing one costs a duplicate, no verdict
_RETRY_S = 1.0


class OutboxWriter:
    """Owns the `Store`. `submit` is for inspection, `accept` and `park` for the publisher, which
    reads `waiting`."""

    def __init__(
        self,
        store: Store,
        environment: Environment,
        *,
        durability: Durability = "strict",
        window_s: float = 0.5,
    ) -> None:
        """These may be set before `run`: `on_commit` is called with verdicts that are safe (stored,
        or acknowledged) and their numbers, and when there is something to send `on_stored`; or
        `send`, which sends it here and now."""
        self._store, self._environment = store, environment
        store.mending = self._mends
        self._pace = Pace(window_s if durability == "balanced" else 0.0)
        self._hidden = durability == "strict"  # what is not on disk is not shown
        self.on_stored: Callable[[], None] = lambda: None
        self.send: Callable[[], None] = lambda: self.on_stored()  # noqa: PLW0108  as it is then
        self.on_commit: Callable[[Sequence[Verdict], Sequence[int]], None] = lambda *_: None
        self.waiting = Waiting(store.new_view(), store.last, store.clock, store.generation)
        self.waiting.on_damage = self._damage_seen
        store.kept = self.waiting.kept
        self._held = Held()
        self._pending = Pending()
        self._writing: set[int] = set()
        self._first_ack = 0.0
        self._next = store.first
        # the highest number that was shown before it was on disk, that was acknowledged before
        self._shown = self._given = 0
        self._closing = False
        self._damage: OutboxError | None = None
        self._generation = store.generation
        self._changed = threading.Condition()
        self._stored = self._acked = 0
        self._dropped: Counter[Cause] = Counter()
        self._holding = store.holding()
        self.fault = store.fault
        self.beat = environment.tick()
        if self.fault:
            log.error("%s; verdicts are sent from memory meanwhile", self.fault)

    def submit(self, verdict: Verdict) -> None:
        """Hands a verdict over, and fixes its number. Waits while the disk is slow. When it refuses
        the verdict is held in memory and sent from there; past a bound the oldest is dropped."""
        with self._changed:
            most = _QUEUE if self._hidden else _HELD // 2
            while not self.fault and (
                len(self._held) >= most or self._held.bytes > _HELD_BYTES // 2
            ):
                self._changed.wait(1.0)
            number, self._next = self._next, self._next + 1
            body, now = stored_body(verdict, number), self._environment.tick()
            due = self._pace.due(now, item=verdict.part is not None and verdict.trigger is None)
            row = Row(number, self._store.clock(), body)
            self._held.add(HeldVerdict(row, verdict, due))
            while (len(self._held) > _HELD or self._held.bytes > _HELD_BYTES) and not self._writing:
                self.waiting.done(self._held.drop_first().row.seq)
                self._dropped["memory"] += 1
            shown = not self._hidden or bool(self.fault)
            if shown:
                self._show([row])
            first, many = len(self._held) == 1 or due <= now, self._pace.many
            if first and not shown:
                self._changed.notify_all()
        if shown:  # first: who sends it is not to wait for who writes it
            (self.on_stored if many else self.send)()
            if first:
                with self._changed:
                    self._changed.notify_all()

    def accept(self, seq: int) -> None:
        """The broker has acknowledged a row."""
        self.waiting.done(seq)
        with self._changed:
            if seq not in self._writing and (held := self._held.settle(seq)) is not None:
                self._pending.safe.append(held)
                self._acked += 1
                return
            if not self._pending.accepted:
                self._first_ack = self._environment.tick()
                self._changed.notify_all()
            self._pending.accepted.append(seq)

    def park(self, seq: int, reason: str) -> None:
        """The broker will never take a row. It is kept."""
        self.waiting.done(seq)
        with self._changed:
            self._pending.parked.append((seq, reason))
            self._changed.notify_all()

    def forget(self, receipts: Sequence[tuple[str, str]]) -> None:
        """Nobody will ask for these cameras' receipts again."""
        with self._changed:
            self._pending.stale += receipts
            self._changed.notify_all()

    def stats(self) -> OutboxStats:
        """The outbox after its last commit, memory included."""
        with self._changed:
            known = self._store.stats(self._holding)
            dropped = {cause: self._dropped[cause] for cause in CAUSES}
            counts = {"held": len(self._held), "stored": self._stored, "acked": self._acked}
            return replace(known, **counts, dropped_by=dropped)

    def flush(self, timeout: float) -> None:
        """Returns when every verdict that was submitted is on disk, or the disk refuses, or after
        `timeout` seconds."""
        with self._changed:
            self._held.hurry()
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self.fault) or not len(self._held), timeout)

    def close(self) -> None:
        """Asks the thread to write what it has and to end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def run(self) -> None:
        """Until closed and empty. A disk that refuses is tried again; at the end, once more."""
        while True:
            with self._changed:
                while not self._due():
                    self._changed.wait(self._patience())
                    self.beat = self._environment.tick()
            if self.run_once():
                self._end()
                return

    def run_once(self) -> bool:
        """One commit of what is due. True: closed, and nothing more can be done."""
        with self._changed:
            closing = self._closing
            held = self._held.first(_BATCH) if closing or self._write_is_due() else []
            self._writing = {one.row.seq for one in held}
            # not yet those rows that are in memory alone, and not being written either
            work = self._pending.take(held, lambda n: n in self._held and n not in self._writing)
            damage, self._damage = self._damage, None
        done = self._write(work, damage)
        with self._changed:
            return closing and not (done and (len(self._held) or self._pending))

    def _show(self, rows: list[Row]) -> None:
        """These may be sent though no disk has them: so their numbers must never be given again."""
        if rows:
            self._store.numbers.reserve(rows[-1].seq, given=True)
            self._shown = rows[-1].seq
            self.waiting.show(rows, stored=False)

    def _due(self) -> bool:
        now = self._pending
        if self._closing or now.parked or now.stale or self._damage is not None or self.fault:
            return True
        if self._write_is_due() or now.safe:
            return True
        return bool(now.accepted) and self._environment.tick() - self._first_ack >= _ACK_DELAY_S

    def _write_is_due(self) -> bool:
        if (due := self._held.due) is None:
            return False
        return bool(self.fault or self._pending.parked) or due <= self._environment.tick()

    def _patience(self) -> float:
        # what shortens it notifies; an acknowledgement of what is held may wait for that one's time
        tick, held = self._environment.tick(), self._held.due
        acks = self._first_ack + _ACK_DELAY_S if self._pending.accepted else None
        return max(0.001, min([BEAT_S, *(at - tick for at in (held, acks) if at is not None)]))

    def _write(self, work: Work, damage: OutboxError | None) -> bool:
        held, safe, accepted, parked = work.held, work.safe, work.accepted, work.parked
        receipts = receipts_of([*safe, *held])
        rows = [one.row for one in held]
        acked = 0
        try:
            if damage is not None:
                self._store.mend(damage)
            self._given = max([self._given, *(one.row.seq for one in safe)])
            numbers = self._closing and self._given > self._store.last
            if rows or receipts or accepted or parked or work.stale or self.fault or numbers:
                applied = self._store.apply(
                    rows, receipts, accepted, parked, given=self._given, stale=work.stale
                )
                acked = applied.acked
                self._dropped["cap"] += len(applied.over_cap)
                self._dropped["age"] += len(applied.over_age)
                for number in (*applied.over_cap, *applied.over_age):
                    self.waiting.done(number)
        except OutboxError as error:
            self._put_back(work, str(error))
            return False
        except Exception as error:  # outermost loop: a fault of ours must not end the thread
            log.exception("outbox: unexpected fault")
            self._put_back(work, f"outbox: internal fault ({error!r})")
            return False
        if not self._hidden:
            self._store.numbers.reserve(self._next + BLOCK // 2, given=True)
        holding = self._store.holding()
        if safe or held:
            done = [*safe, *held]
            self.on_commit([one.verdict for one in done], [one.row.seq for one in done])
        self._wrote(held, acked, holding)
        if held:
            self.send()
        return True

    def _mends(self) -> None:
        """On the thread itself, in mid-commit: the store saves what a damaged file holds, which may
        take minutes. Nobody waits for it: verdicts go on from memory."""
        with self._changed:
            self.beat = self._environment.tick()
            if not self.fault:
                self._goes_wrong("outbox: a damaged file is being mended")
                self._changed.notify_all()
        self.on_stored()

    def _goes_wrong(self, why: str) -> None:
        self.fault = why
        log.error("%s; verdicts are sent from memory meanwhile", why)
        if self._hidden:
            self._show([one.row for one in self._held.first(_HELD)])

    def _wrote(self, held: list[HeldVerdict], acked: int, holding: Holding | None) -> None:
        with self._changed:
            if self._generation != self._store.generation:
                self._generation = self._store.generation
                self._damage = None  # of the file before: this one is not to be set aside for it
                self.waiting.file_changed(self._store.last, self._generation)
            if held:
                self._held.written(held[-1].row.seq)
                if self._hidden and not self.fault:
                    self.waiting.show([one.row for one in held], stored=True)
                else:
                    self.waiting.stored([one.row.seq for one in held])
            self._writing = set()
            self._stored += len(held)
            self._acked += acked
            self._holding = holding
            if self.fault and not len(self._held):
                dropped = self._dropped["memory"]
                log.warning(
                    "outbox: the disk takes verdicts again; %d were dropped meanwhile", dropped
                )
                self.fault = ""
                self._settle()
            self.beat = self._environment.tick()
            self._changed.notify_all()

    def _put_back(self, work: Work, why: str) -> None:
        with self._changed:
            self._pending.put_back(work)
            self._writing = set()
            if self.fault:
                self.fault = why
            else:
                self._goes_wrong(why)
            self.beat = self._environment.tick()
            self._changed.notify_all()
        self.on_stored()
        with self._changed:
            self._changed.wait_for(lambda: self._closing, _RETRY_S)

    def _damage_seen(self, error: OutboxError, generation: int) -> None:
        """On the publisher's thread: what it read of the file of that generation is not right."""
        with self._changed:
            if error.kind == "damaged" and generation == self._generation:
                self._damage = error
                self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            if len(self._held):
                log.error("outbox: %d verdicts could not be written and are lost", len(self._held))
            else:
                self._settle(at_the_end=True)

    def _settle(self, *, at_the_end: bool = False) -> None:
        """The file knows the highest number that anybody saw, so a start may count on from it."""
        if (self._hidden or at_the_end) and self._store.last >= self._shown:
            self._store.numbers.settle()
