"""Chooses the groups to cut off in a split, as balanced as whole groups allow."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Choice = NDArray[np.bool_]

MAX_GROUPS_EXHAUSTIVE = 14  # 16,384 subsets: the search tries all of them
# Up to this number each group is a large share: one local search gets stuck, so it restarts.
MAX_GROUPS_RESTARTS = 200
RESTARTS = 50
MAX_SWAP_PAIRS = 250_000  # above this, each group is too small a share for swaps to gain anything
MAX_STEPS = 200

# A stratum that is absent from one side outweighs any imbalance. Absence from the rest, which
# trains the network, is worse than absence from the cut.
ABSENT_FROM_REST = 1e6
ABSENT_FROM_CUT = 1e3


def choose_groups(counts: Counts, fraction: float, seed: int) -> Choice:
    """The groups to cut off, so that each stratum comes as near to `fraction` as possible.

    `counts` is int, (groups, strata): the number of pictures of each stratum in each group.
    Returns bool, (groups,). The same arguments give the same choice; `seed` breaks ties.
    With up to 14 groups the choice is the optimum, above that a local optimum.
    """
    counts = np.asarray(counts, np.int64)
    groups = len(counts)
    rng = np.random.default_rng(seed)
    order = rng.permutation(groups)
    shuffled = counts[order]
    if groups <= MAX_GROUPS_EXHAUSTIVE:
        chosen = _best_subset(shuffled, fraction)
    else:
        chosen = _local_optimum(shuffled, fraction, rng)
    result = np.zeros(groups, np.bool_)
    result[order] = chosen
    return result


def imbalance(cut: Counts, total: Counts, fraction: float) -> NDArray[np.float64]:
    """How far cuts are from `fraction`. `cut` is (..., strata), `total` (strata,)."""
    present = total > 0
    cut, total = cut[..., present], total[present]
    deviation = ((cut / total - fraction) ** 2).sum(axis=-1)
    absent_from_rest, absent_from_cut = (cut == total).sum(axis=-1), (cut == 0).sum(axis=-1)
    penalty = ABSENT_FROM_REST * absent_from_rest + ABSENT_FROM_CUT * absent_from_cut
    return np.asarray(deviation + penalty, np.float64)


def _best_subset(counts: Counts, fraction: float) -> Choice:
    groups = len(counts)
    bits = np.arange(2**groups)
    subsets = (bits[:, None] >> np.arange(groups)[None]) & 1 == 1
    badness = imbalance(subsets.astype(np.int64) @ counts, counts.sum(axis=0), fraction)
    return np.asarray(subsets[int(badness.argmin())], np.bool_)


def _local_optimum(counts: Counts, fraction: float, rng: np.random.Generator) -> Choice:
    starts = [_greedy(counts, fraction)]
    if len(counts) <= MAX_GROUPS_RESTARTS:
        starts += [rng.random(len(counts)) < fraction for _ in range(RESTARTS)]
    ends = [_improved(counts, start, fraction) for start in starts]
    total = counts.sum(axis=0)
    badness = [float(imbalance(counts[end].sum(axis=0), total, fraction)) for end in ends]
    return ends[int(np.argmin(badness))]


def _greedy(counts: Counts, fraction: float) -> Choice:
    # Largest first: small groups that come later can still fill gaps.
    total = counts.sum(axis=0)
    chosen = np.zeros(len(counts), np.bool_)
    cut = np.zeros_like(total)
    for group in np.argsort(-counts.sum(axis=1), kind="stable"):
        both = np.stack([cut, cut + counts[group]])
        without, with_it = imbalance(both, total, fraction)
        if with_it < without:
            chosen[group] = True
            cut = cut + counts[group]
    return chosen


def _improved(counts: Counts, chosen: Choice, fraction: float) -> Choice:
    total = counts.sum(axis=0)
    chosen = chosen.copy()
    best = float(imbalance(counts[chosen].sum(axis=0), total, fraction))
    for _ in range(MAX_STEPS):
        cut = counts[chosen].sum(axis=0)
        signs = np.where(chosen, -1, 1)[:, None]
        moves = imbalance(cut + signs * counts, total, fraction)
        flip = [int(moves.argmin())]
        found = float(moves.min())
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        if 0 < len(inside) * len(outside) <= MAX_SWAP_PAIRS:
            pairs = cut - counts[inside][:, None] + counts[outside][None]
            swaps = imbalance(pairs, total, fraction)
            if swaps.min() < found:
                a, b = np.unravel_index(int(swaps.argmin()), swaps.shape)
                found, flip = float(swaps.min()), [int(inside[a]), int(outside[b])]
        if found >= best - 1e-12:
            break
        chosen[flip] = ~chosen[flip]
        best = found
    return chosen
