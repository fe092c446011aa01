"""Whole groups are split as evenly as possible."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.split import choose_groups, imbalance

tables = st.integers(1, 3).flatmap(
    lambda strata: st.lists(
        st.lists(st.integers(0, 40), min_size=strata, max_size=strata), min_size=2, max_size=7
    )
)


@given(tables, st.sampled_from([0.2, 0.25, 0.5]), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_with_few_groups_no_other_choice_is_better(
    table: list[list[int]], fraction: float, seed: int
) -> None:
    """With few groups the choice is the optimum over all subsets."""
    counts = np.array(table)
    total = counts.sum(axis=0)
    chosen = choose_groups(counts, fraction, seed)
    best = min(
        float(imbalance(counts[list(subset)].sum(axis=0), total, fraction))
        for size in range(len(table) + 1)
        for subset in itertools.combinations(range(len(table)), size)
    )
    assert float(imbalance(counts[chosen].sum(axis=0), total, fraction)) <= best + 1e-9


def test_three_large_groups_give_one_away() -> None:
    """A fifth of three equal groups is one group."""
    assert choose_groups(np.full((3, 2), 250), 0.2, 0).sum() == 1


@given(st.integers(0, 1000), st.integers(20, 120))
@settings(max_examples=20, deadline=None)
def test_many_groups_come_within_a_group_of_the_share(seed: int, groups: int) -> None:
    """With many single pictures each class comes within half a picture of the share."""
    counts = np.zeros((groups * 2, 2), np.int64)
    counts[:groups, 0] = counts[groups:, 1] = 1
    cut = counts[choose_groups(counts, 0.25, seed)].sum(axis=0)
    assert np.abs(cut - groups * 0.25).max() <= 0.5


def test_same_seed_same_choice_other_seed_other_choice() -> None:
    """The seed breaks ties."""
    counts = np.ones((60, 1), np.int64)
    first = choose_groups(counts, 0.25, 1)
    assert (first == choose_groups(counts, 0.25, 1)).all()
    assert (first != choose_groups(counts, 0.25, 2)).any()


def test_a_class_in_one_group_stays_in_train() -> None:
    """The only group of a class is never cut off."""
    counts = np.array([[5, 0], [5, 0], [5, 0], [5, 9]])
    assert not choose_groups(counts, 0.25, 0)[3]
