"""Ranges of numbers, one statement each."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.storage.outbox.database import number_ranges


@given(st.lists(st.integers(1, 60)))
def test_ranges_cover_the_numbers_and_nothing_else(numbers: list[int]) -> None:
    """In any order and with duplicates: all of them, none between, and no two ranges that touch."""
    found = list(number_ranges(numbers))
    covered = [n for first, last in found for n in range(first, last + 1)]
    assert covered == sorted(set(numbers))
    assert all(after[0] > before[1] + 1 for before, after in pairwise(found))
