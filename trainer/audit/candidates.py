"""Finds pairs that may be copies, by matrix products in blocks instead of pair by pair.

Three searches complement each other:

- visual words find pictures that share rare key points;
- texture finds surfaces with a direction;
- thumbnails in eight quarter turns and mirrors, without the shared structure, find pictures with
  too few key points.
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
from trainer.audit.texture_match import TextureMatch, without_axes
from trainer.audit.visual_words import shared_word_scores

Pair = tuple[int, int]
Candidates = dict[Pair, list[Pose]]

PAIRS_BY_WORDS = 8  # kept a picture; a copy ranked 1st to 6th in all but 3 % of measured cases
PAIRS_BY_THUMBNAIL = 2
MIN_WORD_SCORE = 0.05
MIN_THUMBNAIL_CORRELATION = 0.5
MIN_TEXTURE_CORRELATION = 0.5
SMALL_SIDE = 16  # pixels a side of the compared thumbnails
BLOCK_ROWS = 1024  # rows compared with all others at once
MAX_BLOCK_CELLS = 4_000_000  # products in memory at once: blocks of a large set have fewer rows


def candidates(
    store: FingerprintStore, common: SharedStructure, progress: Callable[[int, int], None]
) -> Candidates:
    """Pairs of rows (low, high) that may be copies, each with the poses found so far."""
    found: Candidates = {}
    steps = 2 + 8
    for rows, scores in shared_word_scores(store, _blocks(len(store))):
        for low, high, _ in _best(scores, rows, PAIRS_BY_WORDS, MIN_WORD_SCORE):
            found.setdefault((low, high), [])
    progress(2, steps)
    texture = TextureMatch(store)
    for orientation, upright, turned in texture.orientations():
        for rows in _blocks(len(store)):
            products = upright[rows] @ turned.T
            best = _best(products, rows, PAIRS_BY_THUMBNAIL, MIN_TEXTURE_CORRELATION)
            for low, high, swapped in best:
                pose = texture.pose(low, high, orientation.T if swapped else orientation)
                found.setdefault((low, high), []).append(pose)
    for at, (pairs, pose) in enumerate(_by_thumbnail(store, common)):
        for low, high, swapped in pairs:
            poses = found.setdefault((low, high), [])
            poses.append(inverted(pose) if swapped else pose)
        progress(3 + at, steps)
    return found


def _by_thumbnail(
    store: FingerprintStore, common: SharedStructure
) -> list[tuple[list[tuple[int, int, bool]], Pose]]:
    n = len(store)
    thumbnails = np.concatenate([_small(store.planes(rows)) for rows in _blocks(n)])
    shared = _small(common.planes).astype(np.float32)
    axes = np.linalg.svd(shared, full_matrices=False)[2] if len(shared) else shared
    upright = without_axes(thumbnails, axes)
    result = []
    for pose in quarter_turns():
        turned = np.concatenate([_small(store.planes(rows), pose) for rows in _blocks(n)])
        turned = without_axes(turned, axes)
        pairs: set[tuple[int, int, bool]] = set()
        for rows in _blocks(n):
            products = upright[rows] @ turned.T
            pairs.update(_best(products, rows, PAIRS_BY_THUMBNAIL, MIN_THUMBNAIL_CORRELATION))
        result.append((sorted(pairs), pose))
    return result


def _small(planes: Plane, pose: Pose | None = None) -> Plane:
    """Small thumbnails as rows of numbers, warped by `pose`: float32, (k, 256)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rows = np.empty((len(planes), SMALL_SIDE * SMALL_SIDE), np.float32)
    for at, plane in enumerate(planes):
        size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        warped = plane if pose is None else cv2.warpAffine(plane, pose, size, flags=flags)
        small = cv2.resize(warped, (SMALL_SIDE, SMALL_SIDE), interpolation=cv2.INTER_AREA)
        rows[at] = small.ravel()
    return rows


def _best(
    scores: NDArray[np.float32], rows: slice, count: int, min_score: float
) -> list[tuple[int, int, bool]]:
    """The `count` best columns of each row as (low, high, swapped); `scores` is (rows, n)."""
    numbers = np.arange(scores.shape[1])[rows]
    scores[np.arange(len(numbers)), numbers] = -1
    count = min(count, scores.shape[1] - 1)
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    best_scores = np.take_along_axis(scores, best, axis=1)
    pairs = []
    for at, column in zip(*np.nonzero(best_scores >= min_score)):
        row, other = int(numbers[at]), int(best[at, column])
        pairs.append((min(row, other), max(row, other), row > other))
    return pairs


def _blocks(n: int) -> list[slice]:
    edges = [*range(0, n, max(1, min(BLOCK_ROWS, MAX_BLOCK_CELLS // max(1, n)))), n]
    return [slice(start, end) for start, end in pairwise(edges)]
