"""Which pairs may be copies: found by matrix products in blocks, without comparing pair by pair.

Three ways that miss different things. Visual words: pictures that share rare key points. Grain:
surfaces with a direction. And thumbnails in the eight quarter turns and mirrors, less what all
pictures have in common: they find what has too few key points.
"""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import SharedStructure
from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import Pose, inverted, quarter_turns
from trainer.audit.texture_match import TextureMatch
from trainer.audit.visual_words import shared_word_scores

Pair = tuple[int, int]
Candidates = dict[Pair, list[Pose]]

BY_WORDS = 8  # pairs kept a picture; a copy was 1st to 6th in all but 3 % of the cases measured
BY_LOOK = 2
LIKE_WORDS = 0.05
LIKE_LOOK = 0.5
LIKE_GRAIN = 0.5
SMALL = 16  # pixels a side of the thumbnails that are compared
BLOCK = 1024  # rows that are compared with all others at once, and
CELLS = 4_000_000  # products in memory at once: of a large set fewer rows


def candidates(
    store: FingerprintStore, common: SharedStructure, progress: Callable[[int, int], None]
) -> Candidates:
    """Pairs of rows (low, high) worth a closer look, each with the poses that are known already."""
    found: Candidates = {}
    steps = 2 + 8
    for rows, alike in shared_word_scores(store, _blocks(len(store))):
        for low, high, _ in _best(alike, rows, BY_WORDS, LIKE_WORDS):
            found.setdefault((low, high), [])
    progress(2, steps)
    grain = TextureMatch(store)
    for way, plain, laid in grain.ways():
        for rows in _blocks(len(store)):
            for low, high, swapped in _best(plain[rows] @ laid.T, rows, BY_LOOK, LIKE_GRAIN):
                pose = grain.pose(low, high, way.T if swapped else way)
                found.setdefault((low, high), []).append(pose)
    for at, (pairs, pose) in enumerate(_by_look(store, common)):
        for low, high, swapped in pairs:
            poses = found.setdefault((low, high), [])
            poses.append(inverted(pose) if swapped else pose)
        progress(3 + at, steps)
    return found


def _by_look(
    store: FingerprintStore, common: SharedStructure
) -> list[tuple[list[tuple[int, int, bool]], Pose]]:
    n = len(store)
    thumbnails = np.concatenate([_small(store.planes(rows)) for rows in _blocks(n)])
    shared = _small(common.planes).astype(np.float32)
    axes = np.linalg.svd(shared, full_matrices=False)[2] if len(shared) else shared
    plain = _apart(thumbnails, axes)
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
        thumbnails = (
            plane
            if pose is None
            else cv2.warpAffine(plane, pose, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), flags=flags)
        )
        rows[at] = cv2.resize(thumbnails, (SMALL, SMALL), interpolation=cv2.INTER_AREA).ravel()
    return rows


def _apart(rows: Plane, axes: Plane) -> Plane:
    """What is left of each row without the common axes, at length 1."""
    own = rows - (rows @ axes.T) @ axes
    return np.asarray(own / (np.linalg.norm(own, axis=1, keepdims=True) + 1e-3), np.float32)


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
    edges = [*range(0, n, max(1, min(BLOCK, CELLS // max(1, n)))), n]
    return [slice(start, end) for start, end in pairwise(edges)]
