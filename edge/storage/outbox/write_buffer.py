"""The write buffer: verdicts that are not on disk, and the other work of a commit."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
    changes: the changes of the file.
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
    """Rows by their numbers, in ascending order, from which any can be removed. `bytes`: of all
    bodies. Not safe between threads."""

    def __init__(self) -> None:
        self.bytes = 0
        self._rows: OrderedDict[int, BufferedVerdict] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, seq: int) -> bool:
        return seq in self._rows

    @property
    def due(self) -> float | None:
        """When the first verdict is to be written; None: the queue is empty."""
        return next((one.due for one in self._rows.values()), None)

    def add(self, one: BufferedVerdict) -> None:
        """Adds a number above all before."""
        self._rows[one.row.seq] = one
        self.bytes += len(one.row.body)

    def settle(self, seq: int) -> BufferedVerdict | None:
        """Removes a number that needs no writing; None: it is not here."""
        one = self._rows.pop(seq, None)
        if one is not None:
            self.bytes -= len(one.row.body)
        return one

    def drop_first(self) -> BufferedVerdict:
        """Removes the oldest."""
        _, one = self._rows.popitem(last=False)
        self.bytes -= len(one.row.body)
        return one

    def first(self, limit: int | None = None) -> list[BufferedVerdict]:
        """The oldest, at most `limit` of them; None: all. They stay in the queue."""
        return list(islice(self._rows.values(), limit))

    def written(self, upto: int) -> None:
        """Removes all numbers up to `upto`, which are on disk."""
        while self._rows and next(iter(self._rows)) <= upto:
            self.drop_first()

    def make_all_due(self) -> None:
        """Every verdict is to be written now."""
        self._rows = OrderedDict((seq, replace(one, due=0.0)) for seq, one in self._rows.items())
