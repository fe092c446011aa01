"""What health says of the outbox."""

from dataclasses import dataclass, field
from typing import Literal

Cause = Literal["cap", "age", "memory"]
CAUSES: tuple[Cause, ...] = ("cap", "age", "memory")


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """What waits, and what happened since this process started.

    `rows` wait in the file, which takes `bytes` on disk; `held` wait in memory alone. `stored` and
    `acked` count verdicts, `dropped` those that went unsent, by cause. `parked` rows are kept but
    not sent, since the broker refused them. `damaged` is how often the file was set aside,
    `salvaged` how many verdicts were saved from it, `lost_at_most` how many were perhaps not.
    `skipped` numbers were never given to a verdict that anybody will see.
    """

    rows: int = 0
    bytes: int = 0
    oldest_age_s: float = 0.0
    held: int = 0
    stored: int = 0
    acked: int = 0
    parked: int = 0
    dropped_by: dict[Cause, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    damaged: int = 0
    salvaged: int = 0
    lost_at_most: int = 0
    skipped: int = 0

    @property
    def dropped(self) -> int:
        """Verdicts that went unsent, of whatever cause."""
        return sum(self.dropped_by.values())
