"""The effective sample size of a set: ten pictures of one part are not ten parts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.core import optional_import


def effective_sample_size(scores: ArrayLike, groups: Sequence[str]) -> float:
    """The number of independent pictures with the same information.

    It lies between the number of groups and the number of pictures. `scores` is float, (n,), of
    one kind (good or defective); `groups` names the part of each picture. The formula is
    n / (1 + (m - 1) r), Kish's design effect (1965): r is the intraclass correlation, m the mean
    group size over pictures, so that a large group has its full weight.
    """
    _names, sizes = np.unique(np.asarray(groups), return_counts=True)
    n = len(groups)
    if n == 0:
        return 0.0
    mean_size = float((sizes**2).sum()) / n
    return n / (1 + (mean_size - 1) * intraclass_correlation(scores, groups))


def intraclass_correlation(scores: ArrayLike, groups: Sequence[str]) -> float:
    """The similarity of the scores within a group, from 0 (unrelated) to 1 (equal).

    This is the intraclass correlation by analysis of variance (Donner and Koval 1980) on normal
    scores of the ranks, because scores pile up near 0 and 1. It uses scores and not escapes, so
    it exists when nothing escaped. A single group gives 1, the conservative value.
    """
    values = np.asarray(scores, np.float64)
    _names, member = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    n, k = len(values), len(sizes)
    if k == n:
        return 0.0
    if k < 2:
        return 1.0
    z = _normal_scores(values)
    means = np.bincount(member, z) / sizes
    between = float((sizes * (means - z.mean()) ** 2).sum()) / (k - 1)
    within = float(((z - means[member]) ** 2).sum()) / (n - k)
    size = (n - float((sizes**2).sum()) / n) / (k - 1)
    spread = between + (size - 1) * within
    # Equal scores do not show whether groups matter: 1 is conservative.
    return float(np.clip((between - within) / spread, 0, 1)) if spread > 0 else 1.0


def _normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks = optional_import("scipy.stats").rankdata(values)
    return np.asarray(
        optional_import("scipy.special").ndtri((ranks - 0.5) / len(values)), np.float64
    )
