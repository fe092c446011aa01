"""The thread that writes the outbox.

`strict`: a verdict may be sent after its commit. `balanced`: it may be sent at once, and it is
written when its window has passed without an acknowledgement. While the disk refuses commits, both
send verdicts from memory, which is bounded. States: writer_state.py. Due times: commit_queue.py.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.core.clock import Clock
from edge.core.messages import stored_body
from edge.core.terms import Durability
from edge.core.verdict import Verdict, unusable
from edge.storage.outbox.commit_queue import CommitQueue, GroupCommitPolicy, WriterLimits
from edge.storage.outbox.records import DROP_CAUSES, DropCause, FileStats, OutboxRow, OutboxStats
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.send_queue import SendQueue
from edge.storage.outbox.sequence import BLOCK
from edge.storage.outbox.sqlite import OutboxError
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.write_buffer import CommitBatch
from edge.storage.outbox.writer_state import WriterEvent, WriterStatus

log = logging.getLogger(__name__)

OnCommit = Callable[[Sequence[Verdict], Sequence[int]], None]
Remember = Callable[[bytes], None]
_FROM_MEMORY = "%s; verdicts are sent from memory"
_BEAT_S = 5.0  # the idle thread shows progress at this interval


class OutboxWriter:
    """Inspection calls `submit`; the publisher reads `send_queue` and calls `accept` and `park`."""

    def __init__(
        self,
        store: OutboxStore,
        clock: Clock,
        *,
        durability: Durability = "strict",
        window_s: float = 0.5,
        on_sendable: Callable[[], None] = lambda: None,
        on_commit: OnCommit = lambda _verdicts, _numbers: None,
        remember: Remember = lambda _body: None,
        limits: WriterLimits | None = None,
    ) -> None:
        """`run` is the thread.

        window_s: in `balanced`, seconds that a verdict may wait for its acknowledgement before it
            is written.
        on_sendable: called on any thread when there are new rows to send; must return quickly.
        on_commit: called on the writer's thread with the verdicts, and their numbers, that are
            stored or acknowledged.
        remember: called after it with the body of each; must not wait, and must not raise.
        """
        self._store, self._clock = store, clock
        self._on_sendable, self._on_commit = on_sendable, on_commit
        self._remember = remember
        self._strict = durability == "strict"
        self.send_queue = SendQueue(
            store.new_reader(),
            store.last,
            store.operating_time,
            generation=store.generation,
            on_damage=self.report_damage,
        )
        self._hooks = RebuildHooks(self._rebuild_progress, self.send_queue.cached_rows)
        limits = limits or WriterLimits()
        policy = GroupCommitPolicy(0.0 if self._strict else window_s)
        self._queue = CommitQueue(policy, clock.tick, limits)
        self._capacity = limits.queue if self._strict else limits.held // 2
        self._next = store.first
        # the highest numbers that were sendable, or acknowledged, before they were on disk
        self._highest_shown = self._highest_acked = 0
        self._damage: tuple[OutboxError, int] | None = None  # and the generation of that file
        self._changed = threading.Condition()
        self._reread = False  # after an exception the send queue may lack rows that are in the file
        self._stored = self._acked = 0
        self._dropped: Counter[DropCause] = Counter()
        self.status, self._file_stats = WriterStatus(store.fault), store.file_stats()
        self.beat = clock.tick()
        if self.fault:
            log.error(_FROM_MEMORY, self.fault)

    @property
    def fault(self) -> str:
        """Why verdicts are sent from memory; empty: the disk takes them."""
        return self.status.fault

    def next_number(self) -> int:
        """The number of the next verdict."""
        with self._changed:
            return self._next

    def submit(self, verdict: Verdict) -> None:
        """Accepts a verdict and assigns its number. Waits while the disk is slow. While the disk
        refuses, it never waits, and past the bound it drops the oldest verdict."""
        with self._changed:
            while not self.status.degraded and self._queue.is_full(self._capacity):
                self._changed.wait(1.0)
            sendable = not self._strict or self.status.degraded
            row = self._next_row(verdict, sendable=sendable)
            try:
                wakes_writer = self._enqueue(row, verdict)
                if sendable:
                    self._show_unstored([row])
            except BaseException:
                self._reread = True
                raise
        try:
            if sendable:  # before the writer wakes: sending must not wait for it
                self._on_sendable()
        finally:
            if wakes_writer:
                with self._changed:
                    self._changed.notify_all()

    def accept(self, seq: int) -> None:
        """The broker has acknowledged a row."""
        self.send_queue.done(seq)
        with self._changed:
            if self._queue.settle(seq):
                self._acked += 1
            elif self._queue.pending.accept(seq, self._clock.tick()):
                self._changed.notify_all()

    def park(self, seq: int, reason: str) -> None:
        """The broker refuses a row permanently. It is kept."""
        self.send_queue.done(seq)
        with self._changed:
            self._queue.pending.parked.append((seq, reason))
            self._changed.notify_all()

    def forget(self, receipts: Sequence[tuple[str, str]]) -> None:
        """Deletes these pairs of camera and receipt."""
        with self._changed:
            self._queue.pending.stale += receipts
            self._changed.notify_all()

    def holds_receipt(self, camera: str, receipt: str) -> bool:
        """Whether a verdict with this receipt waits for its commit."""
        with self._changed:
            return (camera, receipt) in self._queue.receipts

    def stats(self) -> OutboxStats:
        """The outbox after its last commit, memory included."""
        with self._changed:
            counts = {"held": len(self._queue), "stored": self._stored, "acked": self._acked}
            dropped = {cause: self._dropped[cause] for cause in DROP_CAUSES}
            return replace(self._store.stats(self._file_stats), **counts, dropped_by=dropped)

    def flush(self, timeout: float) -> None:
        """Returns when every submitted verdict is on disk, or the disk refuses, or after `timeout`
        seconds."""
        with self._changed:
            self._queue.held.make_all_due()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.status.degraded or not len(self._queue), timeout)

    def close(self) -> None:
        """Asks the thread to write all buffered verdicts, and to end."""
        with self._changed:
            self.status.handle(WriterEvent.CLOSE)
            self._changed.notify_all()

    def run(self) -> None:
        """Until closed and empty. A refusing disk is tried again; after `close`, once more."""
        ended = False
        while not ended:
            with self._changed:
                while (wait_s := self._due_in()) > 0:
                    self._changed.wait(max(0.001, min(_BEAT_S, wait_s)))
                    self.beat = self._clock.tick()
            ended = self.run_once()
        self._end()

    def run_once(self) -> bool:
        """Commits the changes that are due. True: closed, and nothing more can be done."""
        with self._changed:
            closing = self.status.closing
            batch = self._queue.take(degraded=self.status.degraded, closing=closing)
            damage, self._damage = self._damage, None
        done = self._commit(batch, damage, closing=closing)
        with self._changed:
            return closing and not (done and (len(self._queue) or self._queue.pending))

    def _next_row(self, verdict: Verdict, *, sendable: bool) -> OutboxRow:
        """The verdict as a row with the next number. An exception uses no number."""
        number, operating_time = self._next, self._store.operating_time()
        if sendable:
            self._store.numbers.reserve(number, unstored=True)
        try:
            body = stored_body(verdict, number)
        except (ValueError, ArithmeticError, OSError) as error:  # a time that no calendar has, NaN
            log.exception("outbox: a verdict of camera %s cannot be written", verdict.camera)
            reason = f"its judgement cannot be written ({error})"
            body = stored_body(unusable(verdict, self._clock.now(), reason), number)
        return OutboxRow(number, operating_time, body)

    def _enqueue(self, row: OutboxRow, verdict: Verdict) -> bool:
        """Whether the writer must be woken. The number is used once its row is in the queue."""
        try:
            wakes_writer = self._queue.add(row, verdict)
        finally:
            if row.seq in self._queue.held:
                self._next = row.seq + 1
        for dropped in self._queue.drop_past_bounds():
            self.send_queue.done(dropped)
            self._dropped["memory"] += 1
        return wakes_writer

    def _show_unstored(self, rows: Sequence[OutboxRow]) -> None:
        """Makes rows sendable. Their numbers are reserved first: no restart may reuse them."""
        if rows:
            self._store.numbers.reserve(rows[-1].seq, unstored=True)
            self._highest_shown = rows[-1].seq
            self.send_queue.show(rows, stored=False)

    def _due_in(self) -> float:
        """Seconds until the next commit. Events that make work due earlier notify the thread."""
        degraded = self.status.degraded
        if self.status.closing or (self._damage is not None and not degraded):
            return 0.0
        return self._queue.due_in(degraded=degraded)

    def _commit(
        self, batch: CommitBatch, damage: tuple[OutboxError, int] | None, *, closing: bool
    ) -> bool:
        """Writes and reports. Raises nothing. False: nothing was stored, and the work is pending
        again."""
        acked, why = 0, ""
        try:
            acked = self._apply(batch, damage, closing=closing)
        except OutboxError as error:
            why = str(error)
        except Exception as error:  # outermost: `run` is only the loop around this
            log.exception("outbox: unexpected fault")
            why = f"outbox: internal fault ({error!r})"
        try:
            if why:
                self._commit_failed(batch, why)
            else:
                self._committed(batch, acked)
        except Exception:  # outermost: the commit itself is done
            log.exception("outbox: unexpected fault after a commit")
            self._reread = True
        return not why

    def _committed(self, batch: CommitBatch, acked: int) -> None:
        try:
            if not self._strict:  # ahead of need, so that `submit` does not wait for the disk
                self._store.numbers.reserve(self._next + BLOCK // 2, unstored=True)
            if safe := [*batch.safe, *batch.held]:
                self._on_commit([one.verdict for one in safe], [one.row.seq for one in safe])
                for one in safe:
                    self._remember(one.row.body)
        finally:
            reopened = self.send_queue.generation != self._store.generation
            self._commit_done(batch, acked, self._store.file_stats())
        if reopened or (batch.held and self._strict):
            self._on_sendable()

    def _apply(
        self, batch: CommitBatch, damage: tuple[OutboxError, int] | None, *, closing: bool
    ) -> int:
        """Returns how many rows the file has deleted because they were acknowledged. Raises
        OutboxError."""
        store = self._store
        if damage is not None and damage[1] == store.generation:
            store.rebuild(damage[0], self._hooks)
        self._highest_acked = max([self._highest_acked, *(one.row.seq for one in batch.safe)])
        # at the end the file learns the numbers that never needed a row
        must_note_numbers = closing and self._highest_acked > store.last
        # while degraded, an empty commit shows whether the disk works again
        if batch.changes.is_empty and not self.status.degraded and not must_note_numbers:
            return 0
        result = store.apply(replace(batch.changes, used_up_to=self._highest_acked), self._hooks)
        self._dropped["cap"] += len(result.over_cap)
        self._dropped["age"] += len(result.over_age)
        for number in (*result.over_cap, *result.over_age):
            self.send_queue.done(number)
        return result.acked

    def _rebuild_progress(self) -> None:
        """Called by the store in the middle of a commit. A rebuild may take minutes."""
        with self._changed:
            self.beat = self._clock.tick()
            self._degrade(WriterEvent.REBUILD_STARTED, "outbox: a damaged file is being rebuilt")
        self._on_sendable()

    def _degrade(self, event: WriterEvent, reason: str) -> None:
        if self.status.handle(event, reason):
            log.error(_FROM_MEMORY, reason)
            if self._strict:
                self._show_unstored([one.row for one in self._queue.held.first()])
            self._changed.notify_all()

    def _commit_done(self, batch: CommitBatch, acked: int, file_stats: FileStats | None) -> None:
        rows = batch.changes.rows
        with self._changed:
            if self.send_queue.generation != self._store.generation:
                self.send_queue.file_changed(self._store.last, self._store.generation)
            self._queue.written(batch)
            if self._strict and not self.status.degraded:
                self.send_queue.show(rows, stored=True)
            else:
                self.send_queue.stored([row.seq for row in rows])
            if self._reread and not len(self._queue):
                self.send_queue.read_again(self._store.last)
                self._reread = False
            self._stored += len(rows)
            self._acked += acked
            self._file_stats = file_stats
            if self.status.degraded and not len(self._queue):
                self.status.handle(WriterEvent.CAUGHT_UP)
                dropped = self._dropped["memory"]
                log.warning("outbox: the disk takes verdicts again; %d were dropped", dropped)
                if self._strict:
                    self._settle_numbers()
            self.beat = self._clock.tick()
            self._changed.notify_all()

    def _commit_failed(self, batch: CommitBatch, why: str) -> None:
        with self._changed:
            self._queue.put_back(batch)
            self._degrade(WriterEvent.COMMIT_FAILED, why)
            self.beat = self._clock.tick()
            self._changed.notify_all()
        self._on_sendable()

    def report_damage(self, error: OutboxError, generation: int) -> None:
        """The publisher's thread has read wrong data in the file of this generation."""
        if error.kind == "damaged":
            with self._changed:
                self._damage = error, generation
                self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            if len(self._queue):
                log.error("outbox: %d verdicts could not be written and are lost", len(self._queue))
            else:
                self._settle_numbers()
            self.status.handle(WriterEvent.END)

    def _settle_numbers(self) -> None:
        """The file knows the highest number that was sendable: the next start may count on it."""
        if self._store.last >= self._highest_shown:
            self._store.numbers.settle()
