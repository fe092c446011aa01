"""Which groups go to the other side of a split: as balanced as whole groups allow."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Choice = NDArray[np.bool_]

EXHAUSTIVE = 14  # 16,384 subsets: all of them are tried
FEW = 200  # up to here groups are large shares: one search gets stuck, so it starts many times
RESTARTS = 50
SWAP_PAIRS = 250_000  # above this, single groups are so small a share that swaps gain nothing
MAX_STEPS = 200

# A stratum that is absent from a side outweighs any imbalance; absent from what is left to train
# on it is worse than absent from what is cut off.
MISSING_LEFT = 1e6
MISSING_CUT = 1e3


def choose_groups(counts: Counts, fraction: float, seed: int) -> Choice:
    """The groups to cut off, so that each stratum comes as near to `fraction` as it can.

    `counts` is int, (groups, strata): how many pictures of each stratum each group holds. Returns
    bool, (groups,). The same arguments give the same choice; `seed` decides among equals.
    With up to 14 groups the choice is the best there is, above that a local optimum.
    """
    counts = np.asarray(counts, np.int64)
    groups = len(counts)
    rng = np.random.default_rng(seed)
    order = rng.permutation(groups)
    shuffled = counts[order]
    if groups <= EXHAUSTIVE:
        chosen = _best_subset(shuffled, fraction)
    else:
        chosen = _best_found(shuffled, fraction, rng)
    result = np.zeros(groups, np.bool_)
    result[order] = chosen
    return result


def imbalance(cut: Counts, total: Counts, fraction: float) -> NDArray[np.float64]:
    """How far cuts are from the wanted share. `cut` is (..., strata), `total` (strata,)."""
    present = total > 0
    cut, total = cut[..., present], total[present]
    off = ((cut / total - fraction) ** 2).sum(axis=-1)
    missing = MISSING_LEFT * (cut == total).sum(axis=-1) + MISSING_CUT * (cut == 0).sum(axis=-1)
    return np.asarray(off + missing, np.float64)


def _best_subset(counts: Counts, fraction: float) -> Choice:
    groups = len(counts)
    bits = np.arange(2**groups)
    subsets = (bits[:, None] >> np.arange(groups)[None]) & 1 == 1
    badness = imbalance(subsets.astype(np.int64) @ counts, counts.sum(axis=0), fraction)
    return np.asarray(subsets[int(badness.argmin())], np.bool_)


def _best_found(counts: Counts, fraction: float, rng: np.random.Generator) -> Choice:
    starts = [_greedy(counts, fraction)]
    if len(counts) <= FEW:
        starts += [rng.random(len(counts)) < fraction for _ in range(RESTARTS)]
    ends = [_improved(counts, start, fraction) for start in starts]
    total = counts.sum(axis=0)
    badness = [float(imbalance(counts[end].sum(axis=0), total, fraction)) for end in ends]
    return ends[int(np.argmin(badness))]


def _greedy(counts: Counts, fraction: float) -> Choice:
    # Largest first: the small groups that come later can still fill what is missing.
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
        if 0 < len(inside) * len(outside) <= SWAP_PAIRS:
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
