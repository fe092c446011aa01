"""The records of the outbox: a row, the result of a commit, the state of the file, statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

DropCause = Literal["cap", "age", "memory"]
DROP_CAUSES: tuple[DropCause, ...] = ("cap", "age", "memory")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A verdict on its way to the broker.

    seq: its number.
    stored_at: operating time of the outbox, seconds. It advances only while the daemon runs, and
        never jumps.
    body: its JSON.
    """

    seq: int
    stored_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class OutboxChanges:
    """The content of one commit.

    rows: verdicts to store.
    receipts: pairs of camera and receipt to store.
    accepted: numbers of rows to delete, because the broker acknowledged them.
    parked: numbers of rows that the broker refused permanently, each with its reason.
    stale: pairs of camera and receipt to delete.
    used_up_to: the highest number in use, including verdicts that never needed a row.
    """

    rows: Sequence[OutboxRow] = ()
    receipts: Sequence[tuple[str, str]] = ()
    accepted: Sequence[int] = ()
    parked: Sequence[tuple[int, str]] = ()
    stale: Sequence[tuple[str, str]] = ()
    used_up_to: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the file has nothing to store or delete."""
        return not (self.rows or self.receipts or self.accepted or self.parked or self.stale)


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What one commit did.

    acked: rows deleted because the broker has them.
    over_cap: numbers of rows deleted because the file was at its cap.
    over_age: numbers of rows deleted because they were too old.
    oldest: the lowest number left in the file; 0: none.
    conflicts: rows not stored, because another verdict already has their number.
    """

    acked: int
    over_cap: Sequence[int]
    over_age: Sequence[int]
    oldest: int
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class FileStats:
    """The content of the file.

    bytes: its size on disk, SQLite's write-ahead log included.
    oldest: the operating time of the oldest row, seconds; None: no row.
    """

    rows: int
    bytes: int
    oldest: float | None
    parked: int


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """What health reports of the outbox. Counters start with this process.

    rows: rows in the file, which takes `bytes` on disk.
    held: verdicts in memory that no disk has.
    stored, acked: verdicts that were stored; verdicts that the broker acknowledged.
    parked: rows that are kept but not sent, because the broker refused them.
    dropped_by: verdicts that went unsent, by cause.
    damaged: how often the file was set aside.
    salvaged: verdicts saved from damaged files.
    lost_at_most: verdicts that may be lost.
    skipped: numbers that no verdict will have.
    """

    rows: int = 0
    bytes: int = 0
    oldest_age_s: float = 0.0
    held: int = 0
    stored: int = 0
    acked: int = 0
    parked: int = 0
    dropped_by: dict[DropCause, int] = field(default_factory=lambda: dict.fromkeys(DROP_CAUSES, 0))
    damaged: int = 0
    salvaged: int = 0
    lost_at_most: int = 0
    skipped: int = 0

    @property
    def dropped(self) -> int:
        """Verdicts that went unsent, for any cause."""
        return sum(self.dropped_by.values())
