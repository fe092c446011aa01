"""The queue of verdicts that no disk has, against a dictionary."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.write_buffer import BufferedVerdict, WriteBuffer
from tests.support.verdicts import a_verdict

_VERDICT = a_verdict()
_STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "settle", "drop", "written"]), st.integers(0, 12)),
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(first=st.integers(1, 1000), steps=_STEPS)
def test_it_is_a_dictionary_in_order(first: int, steps: list[tuple[str, int]]) -> None:
    """Any order of coming, being acknowledged, being dropped and being written."""
    held, truth, number = WriteBuffer(), dict[int, BufferedVerdict](), first
    for what, at in steps:
        if what == "add":
            one = BufferedVerdict(OutboxRow(number, 0.0, b"x" * at), _VERDICT, float(number))
            held.add(one)
            truth[number] = one
            number += 1
        elif what == "settle":
            assert held.settle(number - at) is truth.pop(number - at, None)
        elif what == "drop" and truth:
            oldest = min(truth)
            assert held.drop_first() is truth.pop(oldest)
        elif what == "written":
            held.written(number - at)
            truth = {seq: one for seq, one in truth.items() if seq > number - at}
        assert len(held) == len(truth)
        assert held.bytes == sum(len(one.row.body) for one in truth.values())
        assert held.first(100) == list(truth.values())
        assert held.due == (min(one.due for one in truth.values()) if truth else None)
        for seq in range(first - 1, number + 1):
            assert (seq in held) == (seq in truth)


def test_make_all_due() -> None:
    """Everything is to be written now."""
    held = WriteBuffer()
    for seq in (1, 2):
        held.add(BufferedVerdict(OutboxRow(seq, 0.0, b"x"), _VERDICT, 99.0))
    held.make_all_due()
    assert [one.due for one in held.first(9)] == [0.0, 0.0]
