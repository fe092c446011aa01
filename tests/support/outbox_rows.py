"""Outbox rows for tests, and the rows of an outbox file."""

from pathlib import Path

from edge.core.messages import stored_body
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxRow
from tests.support.verdicts import a_verdict

HOUR = 3600.0


MB = 2**20


def rows_from(first: int, count: int, at: float = 1.0, part: str = "p") -> list[OutboxRow]:
    """`count` rows with numbers from `first`."""
    numbers = range(first, first + count)
    return [OutboxRow(seq, at, stored_body(a_verdict(part=part), seq)) for seq in numbers]


def numbers_in(path: Path) -> list[int]:
    """The numbers of the rows that may be sent, in order."""
    view = OutboxReader(path)
    found = [row.seq for row in view.batch(0, 1_000_000)]
    view.close()
    return found
