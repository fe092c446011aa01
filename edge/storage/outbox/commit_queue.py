"""What waits for the next commit, and when that commit is due."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from edge.core.verdict import Verdict
from edge.storage.outbox.group_commit import GroupCommitPolicy
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.write_buffer import BufferedVerdict, CommitBatch, PendingAcks, WriteBuffer

_BATCH = 256  # rows in one commit, which may stand in the log and in the file at once
_ACK_DELAY_S = 1.0  # acknowledgements wait for company: losing one costs a duplicate, no verdict


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of the writer.

    queue: `strict`: verdicts that may wait for a slow disk before inspection waits too.
    held: verdicts in memory while the disk refuses; past that the oldest are dropped.
    held_bytes: bytes of their bodies.
    retry_s: pause before a refusing disk is tried again, seconds.
    """

    queue: int = 256
    held: int = 10_000
    held_bytes: int = 32 * 2**20
    retry_s: float = 1.0


class CommitQueue:
    """Verdicts that are not on disk, and answers of the broker that are not noted on disk. Not safe
    between threads: the writer's lock protects it. `degraded`: the disk refuses commits."""

    def __init__(
        self, pace: GroupCommitPolicy, tick: Callable[[], float], limits: WriterLimits
    ) -> None:
        """`tick`: monotonic seconds."""
        self.held = WriteBuffer()
        self.pending = PendingAcks()
        self._pace, self._tick, self._limits = pace, tick, limits
        self._committing: set[int] = set()  # numbers in the commit that runs now
        self._retry_at = 0.0  # monotonic seconds

    def __len__(self) -> int:
        return len(self.held)

    def is_full(self, most: int) -> bool:
        """Whether `most` verdicts wait, or half of the bytes that may."""
        return len(self.held) >= most or self.held.bytes > self._limits.held_bytes // 2

    def add(self, row: OutboxRow, verdict: Verdict) -> bool:
        """Adds the next number. True: the writer has to be woken."""
        now = self._tick()
        due = self._pace.due(now)
        self.held.add(BufferedVerdict(row, verdict, due))
        return len(self.held) == 1 or due <= now

    def drop_past_bounds(self) -> list[int]:
        """Drops the oldest verdicts past the bounds, never while a commit runs. Returns their
        numbers."""
        dropped = []
        while not self._committing and (
            len(self.held) > self._limits.held or self.held.bytes > self._limits.held_bytes
        ):
            dropped.append(self.held.drop_first().row.seq)
        return dropped

    def settle(self, seq: int) -> bool:
        """Takes a verdict out that was acknowledged before it was written. False: it is in the
        commit that runs now, or on disk."""
        if seq in self._committing or (held := self.held.settle(seq)) is None:
            return False
        self.pending.safe.append(held)
        return True

    def due_in(self, *, degraded: bool) -> float:
        """Seconds until a commit is due; 0: now; infinite: nothing waits."""
        now, pending = self._tick(), self.pending
        if degraded:
            return max(0.0, self._retry_at - now)
        if pending.parked or pending.stale or pending.safe:
            return 0.0
        times = [] if self.held.due is None else [self.held.due]
        if pending.accepted:
            times.append(pending.accepted_since + _ACK_DELAY_S)
        return max(0.0, min(times) - now) if times else math.inf

    def take(self, *, degraded: bool, closing: bool) -> CommitBatch:
        """The work of the commit that begins now. Rows stay in `held` until they are written."""
        due = self.held.due
        # a row must be on disk before it can be marked as parked
        forced = degraded or closing or bool(self.pending.parked)
        write = due is not None and (forced or due <= self._tick())
        held = self.held.first(_BATCH) if write else []
        self._committing = {one.row.seq for one in held}
        return self.pending.take(held, lambda n: n in self.held and n not in self._committing)

    def written(self, work: CommitBatch) -> None:
        """That commit succeeded."""
        if work.held:
            self.held.written(work.held[-1].row.seq)
        self._committing = set()

    def put_back(self, work: CommitBatch) -> None:
        """That commit failed. It is tried again after a pause."""
        self.pending.put_back(work)
        self._committing = set()
        self._retry_at = self._tick() + self._limits.retry_s
