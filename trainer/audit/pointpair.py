"""The key points of two sketches: which look alike, and how they say that one lies on the other."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.pose import Pose, plausible
from trainer.audit.sketch import THUMB, Plane
from trainer.audit.store import Store

LIKE_POINTS = 0.8  # product of two RootSIFT descriptors: the same corner under another light
NEAR = 2.0  # pixels of the thumbnail
FEWEST = 4  # an affine map needs three


class PointPair:
    """Two rows of a store. What is compared once is kept: it is asked for by every pose."""

    def __init__(self, store: Store, low: int, high: int) -> None:
        self._store, self._low, self._high = store, low, high
        self._alike: dict[bool, NDArray[np.float32]] = {}
        first, second = store.aspects[[low, high]].tolist()
        self.aspects: tuple[float, float] = (first, second)

    def pose(self, mirrored: bool) -> Pose | None:
        """The pose that most of the key points that look alike agree on (RANSAC), if any."""
        counts = self._store.counts
        if min(counts[self._low], counts[self._high]) < FEWEST:
            return None
        pairs = mutual(self._products(mirrored), LIKE_POINTS)
        if len(pairs[0]) < FEWEST:
            return None
        source, target = self._places()
        estimate, _ = cv2.estimateAffine2D(
            source[pairs[0]], target[pairs[1]], ransacReprojThreshold=3.0, maxIters=300
        )
        if estimate is None:
            return None
        pose: Pose = np.asarray(estimate, np.float64)
        flipped = bool(np.linalg.det(pose[:, :2]) < 0)
        return pose if plausible(pose, self.aspects) and flipped == mirrored else None

    def support(self, pose: Pose) -> int:
        """How many key points of the first lie, in the second, on one that looks alike."""
        counts = self._store.counts
        if not counts[self._low] or not counts[self._high]:
            return 0
        mirrored = bool(np.linalg.det(pose[:, :2]) < 0)
        source, target = self._places()
        there = source @ pose[:, :2].T + pose[:, 2]
        away = there[:, None] - target[None]
        near = np.einsum("ijk,ijk->ij", away, away) < NEAR**2
        on = near & (self._products(mirrored) > LIKE_POINTS)
        return int(min(on.any(axis=1).sum(), on.any(axis=0).sum()))

    def _places(self) -> tuple[Plane, Plane]:
        source, target = (self._store.points(row) for row in (self._low, self._high))
        return source * THUMB - np.float32(0.5), target * THUMB - np.float32(0.5)

    def _products(self, mirrored: bool) -> NDArray[np.float32]:
        if mirrored not in self._alike:
            self._alike[mirrored] = products(
                self._store.descriptors(self._low), self._store.descriptors(self._high, mirrored)
            )
        return self._alike[mirrored]


def products(some: Plane, others: Plane) -> NDArray[np.float32]:
    """Each descriptor with each other: float32, (n, m), from (n, 128) and (m, 128).

    einsum and not @, for the reason that trainer.audit.alignment gives.
    """
    return np.asarray(np.einsum("id,jd->ij", some, others), np.float32)


def mutual(alike: NDArray[np.float32], least: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of `alike` that are each other's best, where that is above `least`."""
    forth, back = alike.argmax(axis=1), alike.argmax(axis=0)
    rows = np.flatnonzero((back[forth] == np.arange(len(forth))) & (alike.max(axis=1) > least))
    return rows, forth[rows]
