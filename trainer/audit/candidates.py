"""Which pairs may be copies: found by matrix products in blocks, without comparing pair by pair.

Two ways that miss different things. Visual words (Sivic and Zisserman, 2003): pictures that share
rare key points, whatever way they are turned; mirrored descriptors find mirror images. And
thumbnails in the eight quarter turns and mirrors, less what all pictures have in common: they
find what has too few key points.
"""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import Common
from trainer.audit.pose import Pose, inverted, quarter_turns
from trainer.audit.sketch import THUMB, Plane
from trainer.audit.store import Store
from trainer.extra import extra

Pair = tuple[int, int]
Candidates = dict[Pair, list[Pose]]

VOCABULARY = 8192
MEANINGS = 3  # words a key point stands for: the nearest alone is too often another in a copy
BY_WORDS = 8  # pairs kept a picture; a copy was 1st to 6th in all but 3 % of the cases measured
BY_LOOK = 2
LIKE_WORDS = 0.05
LIKE_LOOK = 0.5
SMALL = 16  # pixels a side of the thumbnails that are compared
BLOCK = 1024


def candidates(store: Store, common: Common, progress: Callable[[int, int], None]) -> Candidates:
    """Pairs of rows (low, high) worth a closer look, each with the poses that are known already."""
    found: Candidates = {}
    steps = 2 + 8
    for pair in _by_words(store):
        found.setdefault(pair, [])
    progress(2, steps)
    for at, (pairs, pose) in enumerate(_by_look(store, common)):
        for low, high, swapped in pairs:
            poses = found.setdefault((low, high), [])
            poses.append(inverted(pose) if swapped else pose)
        progress(3 + at, steps)
    return found


def _by_words(store: Store) -> set[Pair]:
    n, total = len(store), int(store.counts.sum())
    if n < 2 or total < 64:
        return set()
    sparse = extra("scipy.sparse")
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(n, min(n, 1500), replace=False))
    sample = np.concatenate([store.descriptors(int(row)) for row in chosen])
    middle = sample.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(sample.T))
    axes = np.asarray(axes[:, ::-1][:, :48], np.float32)
    # Random key points serve as words as well as cluster centres do, and cost nothing.
    count = min(VOCABULARY, max(16, len(sample) // 8))
    centres = (sample[rng.choice(len(sample), count, replace=False)] - middle) @ axes
    plain, mirror = (
        sparse.vstack([_counted(store, rows, centres, middle, axes, flip) for rows in _blocks(n)])
        for flip in (False, True)
    )
    used = np.asarray((plain > 0).sum(axis=0)).ravel()
    rarity = sparse.diags(np.maximum(np.log((n + 1) / (used + 0.5)), 0).astype(np.float32))
    plain, mirror = _unit(plain @ rarity), _unit(mirror @ rarity)
    columns = plain.T.tocsc()
    pairs: set[Pair] = set()
    for rows in _blocks(n):
        alike = np.maximum((plain[rows] @ columns).toarray(), (mirror[rows] @ columns).toarray())
        pairs.update((low, high) for low, high, _ in _best(alike, rows, BY_WORDS, LIKE_WORDS))
    return pairs


def _counted(
    store: Store, rows: slice, centres: Plane, middle: Plane, axes: Plane, mirrored: bool
) -> NDArray[np.float32]:
    """Which words each picture of a block has: sparse, (rows, words)."""
    points = (store.words(rows, mirrored) - middle) @ axes
    length = (centres**2).sum(axis=1)
    words = np.empty((len(points), MEANINGS), np.int64)
    for start in range(0, len(points), BLOCK):
        far = length - 2 * points[start : start + BLOCK] @ centres.T
        words[start : start + BLOCK] = np.argpartition(far, MEANINGS, axis=1)[:, :MEANINGS]
    counts = store.counts[rows]
    owner = np.repeat(np.arange(len(counts)), counts * MEANINGS)
    shape = (len(counts), len(centres))
    table = extra("scipy.sparse").csr_matrix(
        (np.ones(words.size, np.float32), (owner, words.ravel())), shape=shape
    )
    table.data = np.minimum(table.data, 2)  # a texture repeats its word: that says little
    return table  # type: ignore[no-any-return]


def _unit(table: NDArray[np.float32]) -> NDArray[np.float32]:
    sparse = extra("scipy.sparse")
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel()) + 1e-6  # type: ignore[attr-defined]
    return sparse.diags((1 / length).astype(np.float32)) @ table  # type: ignore[no-any-return]


def _by_look(store: Store, common: Common) -> list[tuple[list[tuple[int, int, bool]], Pose]]:
    n = len(store)
    seen = np.concatenate([_small(store.planes(rows)) for rows in _blocks(n)])
    shared = _small(common.planes).astype(np.float32)
    axes = np.linalg.svd(shared, full_matrices=False)[2] if len(shared) else shared
    plain = _apart(seen, axes)
    result = []
    for pose in quarter_turns():
        turned = np.concatenate([_small(store.planes(rows), pose) for rows in _blocks(n)])
        turned = _apart(turned, axes)
        pairs: set[tuple[int, int, bool]] = set()
        for rows in _blocks(n):
            pairs.update(_best(plain[rows] @ turned.T, rows, BY_LOOK, LIKE_LOOK))
        result.append((sorted(pairs), pose))
    return result


def _small(planes: Plane, pose: Pose | None = None) -> Plane:
    """Thumbnails reduced to rows of numbers, as seen through `pose`: float32, (k, 256)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rows = np.empty((len(planes), SMALL * SMALL), np.float32)
    for at, plane in enumerate(planes):
        seen = plane if pose is None else cv2.warpAffine(plane, pose, (THUMB, THUMB), flags=flags)
        rows[at] = cv2.resize(seen, (SMALL, SMALL), interpolation=cv2.INTER_AREA).ravel()
    return rows


def _apart(rows: Plane, axes: Plane) -> Plane:
    """What is left of each row without the common axes, at length 1."""
    rows = rows - (rows @ axes.T) @ axes
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-3)


def _best(
    alike: NDArray[np.float32], rows: slice, count: int, least: float
) -> list[tuple[int, int, bool]]:
    """The `count` best columns of each row as (low, high, swapped); `alike` is (rows, n)."""
    numbers = np.arange(alike.shape[1])[rows]
    alike[np.arange(len(numbers)), numbers] = -1
    count = min(count, alike.shape[1] - 1)
    best = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    strength = np.take_along_axis(alike, best, axis=1)
    pairs = []
    for at, column in zip(*np.nonzero(strength >= least)):
        row, other = int(numbers[at]), int(best[at, column])
        pairs.append((min(row, other), max(row, other), row > other))
    return pairs


def _blocks(n: int) -> list[slice]:
    edges = [*range(0, n, BLOCK), n]
    return [slice(start, end) for start, end in pairwise(edges)]
