"""A verdict on its way to the broker: its number, its JSON, and since when it waits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`seq` is its number, `body` its JSON. `stored_at` is seconds on the outbox's own clock, which
    goes only while the daemon runs and never jumps."""

    seq: int
    stored_at: float
    body: bytes
