"""What the outbox's file says of itself: after a commit, and when it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Applied:
    """What one commit did: how many rows went because the broker has them, and which because the
    file was at its cap or they were too old. `oldest` is the lowest number left, 0: none. `unlike`
    rows were not stored, since their number stood for another verdict."""

    acked: int
    over_cap: Sequence[int]
    over_age: Sequence[int]
    oldest: int
    unlike: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """What the file holds. `bytes` is its size on disk with the log of SQLite beside it, `oldest`
    is on the outbox's own clock."""

    rows: int
    bytes: int
    oldest: float | None
    parked: int
