"""Verdicts that no disk has yet, in the order of their numbers, which are without gaps here."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.delivery.row import Row
from edge.verdict import Verdict

_STALE = 1000  # receipts forgotten in one commit


@dataclass(frozen=True, slots=True)
class HeldVerdict:
    """A verdict and its row. `due`: when it is to be written, monotonic seconds."""

    row: Row
    verdict: Verdict
    due: float


@dataclass(frozen=True, slots=True)
class Work:
    """What one commit is to do: write `held`, note that `safe` ones were acknowledged before and
    that stored ones are `accepted` or `parked`, by number, and forget receipts that are `stale`."""

    held: list[HeldVerdict]
    safe: list[HeldVerdict]
    accepted: list[int]
    parked: list[tuple[int, str]]
    stale: list[tuple[str, str]]


@dataclass(slots=True)
class Pending:
    """What the next commit is to do besides writing. Fields as in `Work`. Not safe between
    threads."""

    safe: list[HeldVerdict] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    parked: list[tuple[int, str]] = field(default_factory=list)
    stale: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.safe or self.accepted or self.parked or self.stale)

    def take(self, held: list[HeldVerdict], only_held: Callable[[int], bool]) -> Work:
        """Work for one commit that writes `held`. What is parked stays here while `only_held`
        says that no disk has it; stale receipts go a few at a time."""
        parked = [one for one in self.parked if not only_held(one[0])]
        self.parked = [one for one in self.parked if only_held(one[0])]
        work = Work(held, self.safe, self.accepted, parked, self.stale[:_STALE])
        self.safe, self.accepted, self.stale = [], [], self.stale[_STALE:]
        return work

    def put_back(self, work: Work) -> None:
        """That commit failed."""
        self.safe = work.safe + self.safe
        self.accepted = work.accepted + self.accepted
        self.parked = work.parked + self.parked
        self.stale = work.stale + self.stale


def receipts_of(verdicts: Sequence[HeldVerdict]) -> list[tuple[str, str]]:
    """Camera and receipt of those that have one."""
    pairs = [(one.verdict.camera, one.verdict.receipt) for one in verdicts]
    return [(camera, receipt) for camera, receipt in pairs if receipt is not None]


class Held:
    """A queue from which those in the middle may go too. Not safe between threads."""

    def __init__(self) -> None:
        self.bytes = 0
        self._queue: deque[HeldVerdict] = deque()
        self._gone: set[int] = set()  # numbers in the queue that need no writing any more

    def __len__(self) -> int:
        return len(self._queue) - len(self._gone)

    def __contains__(self, seq: int) -> bool:
        if not self._queue or seq in self._gone:
            return False
        return self._queue[0].row.seq <= seq <= self._queue[-1].row.seq

    @property
    def due(self) -> float | None:
        """When the first of them is to be written; None when there is none."""
        return self._queue[0].due if self._queue else None

    def add(self, one: HeldVerdict) -> None:
        """The next number."""
        self._queue.append(one)
        self.bytes += len(one.row.body)

    def settle(self, seq: int) -> HeldVerdict | None:
        """Takes a number out, if it is there."""
        if not self._queue or not self._queue[0].row.seq <= seq <= self._queue[-1].row.seq:
            return None
        if seq in self._gone:
            return None
        one = self._queue[seq - self._queue[0].row.seq]
        self._gone.add(seq)
        self.bytes -= len(one.row.body)
        self._trim()
        return one

    def drop_first(self) -> HeldVerdict:
        """Takes the oldest out."""
        one = self._queue.popleft()
        self.bytes -= len(one.row.body)
        self._trim()
        return one

    def first(self, most: int) -> list[HeldVerdict]:
        """The oldest; they stay."""
        found = []
        for one in self._queue:
            if one.row.seq not in self._gone:
                found.append(one)
                if len(found) == most:
                    break
        return found

    def written(self, upto: int) -> set[int]:
        """All up to this number are on disk. Returns those of them that had been taken out."""
        gone = set()
        while self._queue and self._queue[0].row.seq <= upto:
            one = self._queue.popleft()
            if one.row.seq in self._gone:
                gone.add(one.row.seq)
                self._gone.discard(one.row.seq)
            else:
                self.bytes -= len(one.row.body)
        self._trim()
        return gone

    def hurry(self) -> None:
        """All are due now."""
        self._queue = deque(HeldVerdict(one.row, one.verdict, 0.0) for one in self._queue)

    def _trim(self) -> None:
        while self._queue and self._queue[0].row.seq in self._gone:
            self._gone.discard(self._queue.popleft().row.seq)
