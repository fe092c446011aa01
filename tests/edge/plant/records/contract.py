"""Short forms of the requests."""

from typing import Any

from edge.plant import HistoryEntry, LabelRequest, RecordQuery, Records
from tests.support.records import NOON


def ask(records: Records, **fields: str) -> list[HistoryEntry]:
    """The answer of `history`."""
    return list(records.history(RecordQuery.read(fields, NOON, "--")))


def ids(found: list[HistoryEntry]) -> list[str]:
    """The ids of an answer."""
    return [row.body["id"] for row in found]


def say(records: Records, *words: str, **more: Any) -> tuple[str, ...]:
    """Labels; the last word is the label. Returns the remarks."""
    request = LabelRequest(ids=words[:-1], label=words[-1], by="kim", **more)
    return records.label(request).remarks
