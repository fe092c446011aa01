"""The write buffer: verdicts that are not on disk, and the other work of a commit."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from edge.core.verdict import Verdict
from edge.storage.outbox.records import OutboxChanges, OutboxRow

_STALE_LIMIT = 1000  # receipts deleted in one commit


@dataclass(frozen=True, slots=True)
class BufferedVerdict:
    """A verdict and its row. `due`: when it is to be written, monotonic seconds."""

    row: OutboxRow
    verdict: Verdict
    due: float


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """The work of one commit.

    held: verdicts to write.
    safe: verdicts that the broker acknowledged before they were written; only their receipts are
        stored.
    changes: what the file changes.
    """

    held: list[BufferedVerdict]
    safe: list[BufferedVerdict]
    changes: OutboxChanges


@dataclass(slots=True)
class PendingAcks:
    """The work of the next commit besides writing; fields as in `CommitBatch` and `OutboxChanges`.
    Not safe between threads.

    accepted_since: when the first of `accepted` came, monotonic seconds.
    """

    safe: list[BufferedVerdict] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    parked: list[tuple[int, str]] = field(default_factory=list)
    stale: list[tuple[str, str]] = field(default_factory=list)
    accepted_since: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.safe or self.accepted or self.parked or self.stale)

    def accept(self, seq: int, now: float) -> bool:
        """Adds an acknowledged row. True: no other one was waiting."""
        first = not self.accepted
        if first:
            self.accepted_since = now
        self.accepted.append(seq)
        return first

    def take(self, held: list[BufferedVerdict], on_disk: Callable[[int], bool]) -> CommitBatch:
        """The work of a commit that writes `held`. A parked row that is not on disk waits for a
        later commit. A commit deletes a limited number of stale receipts."""
        parked = [one for one in self.parked if on_disk(one[0])]
        self.parked = [one for one in self.parked if not on_disk(one[0])]
        pairs = [(one.verdict.camera, one.verdict.receipt) for one in (*self.safe, *held)]
        changes = OutboxChanges(
            rows=[one.row for one in held],
            receipts=[(camera, receipt) for camera, receipt in pairs if receipt is not None],
            accepted=self.accepted,
            parked=parked,
            stale=self.stale[:_STALE_LIMIT],
        )
        batch = CommitBatch(held, self.safe, changes)
        self.safe, self.accepted, self.stale = [], [], self.stale[_STALE_LIMIT:]
        return batch

    def put_back(self, batch: CommitBatch) -> None:
        """Adds the work of a failed commit again."""
        self.safe = [*batch.safe, *self.safe]
        self.accepted = [*batch.changes.accepted, *self.accepted]
        self.parked = [*batch.changes.parked, *self.parked]
        self.stale = [*batch.changes.stale, *self.stale]


class WriteBuffer:
    """A queue without gaps in its numbers, from which any element can be removed. `bytes`: of all
    bodies. Not safe between threads."""

    def __init__(self) -> None:
        self.bytes = 0
        self._queue: deque[BufferedVerdict] = deque()
        self._removed: set[int] = set()  # numbers in the queue that need no writing any more

    def __len__(self) -> int:
        return len(self._queue) - len(self._removed)

    def __contains__(self, seq: int) -> bool:
        if not self._queue or seq in self._removed:
            return False
        return self._queue[0].row.seq <= seq <= self._queue[-1].row.seq

    @property
    def due(self) -> float | None:
        """When the first verdict is to be written; None: the queue is empty."""
        return self._queue[0].due if self._queue else None

    def add(self, one: BufferedVerdict) -> None:
        """Adds the next number."""
        self._queue.append(one)
        self.bytes += len(one.row.body)

    def settle(self, seq: int) -> BufferedVerdict | None:
        """Removes a number that needs no writing; None: it is not here."""
        if seq not in self:
            return None
        one = self._queue[seq - self._queue[0].row.seq]
        self._removed.add(seq)
        self.bytes -= len(one.row.body)
        self._trim()
        return one

    def drop_first(self) -> BufferedVerdict:
        """Removes the oldest."""
        one = self._queue.popleft()
        self.bytes -= len(one.row.body)
        self._trim()
        return one

    def first(self, limit: int | None = None) -> list[BufferedVerdict]:
        """The oldest, at most `limit` of them; None: all. They stay in the queue."""
        waiting = (one for one in self._queue if one.row.seq not in self._removed)
        return list(islice(waiting, limit))

    def written(self, upto: int) -> None:
        """Removes all numbers up to `upto`, which are on disk."""
        while self._queue and self._queue[0].row.seq <= upto:
            one = self._queue.popleft()
            if one.row.seq in self._removed:
                self._removed.discard(one.row.seq)
            else:
                self.bytes -= len(one.row.body)
        self._trim()

    def make_all_due(self) -> None:
        """Every verdict is to be written now."""
        self._queue = deque(BufferedVerdict(one.row, one.verdict, 0.0) for one in self._queue)

    def _trim(self) -> None:
        while self._queue and self._queue[0].row.seq in self._removed:
            self._removed.discard(self._queue.popleft().row.seq)
