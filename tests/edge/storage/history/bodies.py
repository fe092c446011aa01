"""Bodies of verdicts as the outbox stores them, for tests of the history."""

from typing import Any

from edge.core.ids import uuid7
from edge.core.messages import stored_body
from edge.core.verdict import Rule
from edge.storage.history.records import HistoryBody
from tests.support.verdicts import NOON, a_verdict


def a_body(number: int, *, at: float | None = None, **changes: Any) -> bytes:
    """The body of verdict `number`, captured at `at`, seconds since the epoch; by default one each
    second. Its id was made 30 ms later."""
    captured = NOON + number if at is None else at
    given = {
        "id": uuid7(int(captured * 1000) + 30),
        "captured_at": captured,
        "verdict": "pass",
        "label": "ok",
        "score": 0.012345,
        "frame_seq": 3 * number,
        "rule": Rule(scores=(0.012345,)),
    }
    return stored_body(a_verdict(**{**given, **changes}), number)


def bodies(first: int, last: int, **changes: Any) -> list[HistoryBody]:
    """The bodies of the verdicts from `first` to `last`."""
    return [HistoryBody(a_body(number, **changes)) for number in range(first, last + 1)]
