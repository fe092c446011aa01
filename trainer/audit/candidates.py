"""Finds pairs that may be copies, by matrix products in blocks instead of pair by pair.

Three searches complement each other:

- visual words find pictures that share rare key points;
- texture finds surfaces with a direction;
- thumbnails in eight quarter turns and mirrors, without the shared structure, find pictures with
  too few key points.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import SharedStructure
from trainer.audit.fingerprint import Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import Pose, inverted, quarter_turns
from trainer.audit.texture_match import ORIENTATIONS, TextureMatch, without_axes
from trainer.audit.visual_words import shared_word_scores

Pair = tuple[int, int]


@dataclass(slots=True)
class Candidate:
    """A pair that may be a copy.

    - `poses`: those found so far.
    - `plain`, `mirrored`: the similarity of their key points, 0 to 1; 0 where not searched.
    """

    poses: list[Pose] = field(default_factory=list)
    plain: float = 0.0
    mirrored: float = 0.0

    @property
    def orientations(self) -> list[bool]:
        """Whether the key points are matched mirrored, the likelier first; both when in doubt."""
        order = sorted((False, True), key=lambda one: -(self.mirrored if one else self.plain))
        low, high = sorted((self.plain, self.mirrored))
        return order[:1] if low < CLEAR_RATIO * high else order


Candidates = dict[Pair, Candidate]


@dataclass(frozen=True, slots=True)
class SearchBudget:
    """The most work that a picture may cause, so that a family of look-alikes is not quadratic.

    - `words`: pairs that share rare key points. A copy ranked 1st to 6th in all but 3 % of the
      measured cases.
    - `poses`: pairs by texture and by thumbnail, over all their poses.
    - `aligned`: pairs that are aligned at full thumbnail size, the best at half size.
    - `compared_first`: pairs whose pictures are read again.
    - `compared`: the same for a picture of which a copy was found: it may have more.
    - `points_within`: searches key points in the pictures of pairs within one side too, when the
      texture does not agree. For pairs across the split this is always done.

    Pairs across the split and pairs within one side count separately.
    """

    words: int = 6
    poses: int = 3
    aligned: int = 4
    compared_first: int = 2
    compared: int = 4
    points_within: bool = False


USUAL = SearchBudget()
THOROUGH = SearchBudget(
    words=24, poses=12, aligned=24, compared_first=12, compared=12, points_within=True
)
MIN_WORD_SCORE = 0.05
CLEAR_RATIO = 0.6  # of the similarities of plain and mirrored key points: only one can be right
MIN_THUMBNAIL_CORRELATION = 0.5
MIN_TEXTURE_CORRELATION = 0.5
SMALL_SIDE = 16  # pixels a side of the compared thumbnails
BLOCK_ROWS = 1024  # rows compared with all others at once
MAX_BLOCK_CELLS = 2_000_000  # products in memory at once: blocks of a large set have fewer rows


def candidates(
    store: FingerprintStore,
    common: SharedStructure,
    budget: SearchBudget,
    progress: Callable[[int, int], None],
) -> Candidates:
    """Pairs of rows (low, high) that may be copies, each with the poses found so far."""
    found: Candidates = {}
    steps = 2 + 4 + 8
    for rows, plain, mirrored in shared_word_scores(store, _blocks(len(store))):
        columns, best = _best(np.maximum(plain, mirrored), rows, budget.words)
        for row, other in _pairs_above(columns, best, rows, MIN_WORD_SCORE):
            one = found.setdefault((min(row, other), max(row, other)), Candidate())
            one.plain = max(one.plain, float(plain[row - rows.start, other]))
            one.mirrored = max(one.mirrored, float(mirrored[row - rows.start, other]))
    progress(2, steps)
    texture = TextureMatch(store)
    by_texture = _BestPoses(len(store), budget.poses)
    for at, (_, upright, turned) in enumerate(texture.orientations()):
        by_texture.add(upright, turned)
        progress(3 + at, steps)
    for row, other, at in by_texture.pairs(MIN_TEXTURE_CORRELATION):
        low, high = min(row, other), max(row, other)
        orientation = ORIENTATIONS[at].T if row > other else ORIENTATIONS[at]
        found.setdefault((low, high), Candidate()).poses.append(
            texture.pose(low, high, orientation)
        )
    turns = quarter_turns()
    by_thumbnail = _BestPoses(len(store), budget.poses)
    for at, (upright, turned) in enumerate(_turned_thumbnails(store, common, turns)):
        by_thumbnail.add(upright, turned)
        progress(7 + at, steps)
    for row, other, at in by_thumbnail.pairs(MIN_THUMBNAIL_CORRELATION):
        pose = inverted(turns[at]) if row > other else turns[at]
        found.setdefault((min(row, other), max(row, other)), Candidate()).poses.append(pose)
    return found


class _BestPoses:
    """The best partners of every row over several poses, by correlation."""

    def __init__(self, n: int, count: int) -> None:
        self._n, self._count = n, count
        self._columns: list[NDArray[np.int64]] = []
        self._scores: list[NDArray[np.float32]] = []

    def add(self, upright: Plane, turned: Plane) -> None:
        """Compares all rows with all rows in one more pose; rows have length 1."""
        found = [_best(upright[rows] @ turned.T, rows, self._count) for rows in _blocks(self._n)]
        self._columns.append(np.concatenate([columns for columns, _ in found]))
        self._scores.append(np.concatenate([scores for _, scores in found]))

    def pairs(self, min_score: float) -> Iterator[tuple[int, int, int]]:
        """(row, other row, number of the pose), at most `count` for each row."""
        if self._n < 2:
            return
        columns, scores = np.hstack(self._columns), np.hstack(self._scores)
        width = columns.shape[1] // len(self._columns)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self._count]
        for row in range(self._n):
            for place in order[row]:
                if scores[row, place] >= min_score:
                    yield row, int(columns[row, place]), int(place) // width


def _turned_thumbnails(
    store: FingerprintStore, common: SharedStructure, turns: list[Pose]
) -> Iterator[tuple[Plane, Plane]]:
    """For each of `turns` all small thumbnails upright and turned, without what all share."""
    thumbnails = np.stack([_small(store.plane(row)) for row in range(len(store))])
    axes = np.empty((0, SMALL_SIDE * SMALL_SIDE), np.float32)
    if len(common.planes):
        shared = np.stack([_small(plane).ravel() for plane in common.planes])
        axes = np.linalg.svd(shared, full_matrices=False)[2]
    upright = without_axes(_rows(thumbnails), axes)
    for turn in turns:
        yield upright, without_axes(_rows(_turned(thumbnails, turn)), axes)


def _small(plane: Plane) -> Plane:
    """A small thumbnail: float32, (16, 16)."""
    size = (SMALL_SIDE, SMALL_SIDE)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _turned(planes: Plane, turn: Pose) -> Plane:
    """Square planes, (k, side, side), as a warp by the quarter turn shows them, without a warp."""
    (across, by_row), (by_column, down) = turn[:, :2].astype(int).tolist()
    if across:
        return planes[:, ::down, ::across]
    return planes.transpose(0, 2, 1)[:, ::by_row, ::by_column]


def _rows(planes: Plane) -> Plane:
    return np.ascontiguousarray(planes.reshape(len(planes), -1))


def _best(
    scores: NDArray[np.float32], rows: slice, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `count` best columns of each row and their scores; `scores` is (rows, n).

    A row is no partner of its own.
    """
    numbers = np.arange(scores.shape[1])[rows]
    scores[np.arange(len(numbers)), numbers] = -1
    count = max(1, min(count, scores.shape[1] - 1))
    best = np.empty((len(scores), count), np.int64)
    found = np.empty((len(scores), count), np.float32)
    places = np.arange(len(scores))
    for place in range(count):  # a few passes take a tenth of the time of a partial sort
        best[:, place] = columns = scores.argmax(axis=1)
        found[:, place] = scores[places, columns]
        scores[places, columns] = -np.inf
    return best, found


def _pairs_above(
    columns: NDArray[np.int64], scores: NDArray[np.float32], rows: slice, min_score: float
) -> Iterator[tuple[int, int]]:
    """The pairs (row, column) of a block whose score is at least `min_score`."""
    for at, place in zip(*np.nonzero(scores >= min_score)):
        yield int(at) + rows.start, int(columns[at, place])


def _blocks(n: int) -> list[slice]:
    edges = [*range(0, n, max(1, min(BLOCK_ROWS, MAX_BLOCK_CELLS // max(1, n)))), n]
    return [slice(start, end) for start, end in pairwise(edges)]
