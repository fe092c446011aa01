"""Pairs by their grain: brushed, rolled or striped surfaces have few key points, but a direction.

The middle disc of each picture is turned so that its grain lies level (structure tensor); copies
then lie on each other at any angle, but for half turns and mirroring: four ways in all.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import Pose

DISC = 24  # pixels across
COMPONENTS = 8  # taken out: what all discs have in common
SAMPLED = 500
FLAGS = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
WAYS = (np.diag([1.0, 1.0]), np.diag([-1.0, -1.0]), np.diag([1.0, -1.0]), np.diag([-1.0, 1.0]))

Linear = NDArray[np.float64]


class TextureMatch:
    """The discs of all pictures, level. `frames` are (n, 2, 2): from the disc to the thumbnail."""

    def __init__(self, store: FingerprintStore) -> None:
        n = len(store)
        self.frames = np.empty((n, 2, 2))
        discs = np.empty((n, DISC, DISC), np.float32)
        for row in range(n):
            plane, aspect = store.plane(row), float(store.aspects[row])
            self.frames[row] = _frame(plane, aspect)
            discs[row] = _seen(plane, self.frames[row])
        self._discs = discs

    def ways(self) -> Iterator[tuple[Linear, Plane, Plane]]:
        """Each way to lay a disc on another, with all discs as they are and so laid: float32,
        (n, 576), length 1, without what they have in common."""
        plain = self._discs.reshape(len(self._discs), -1)
        axes = _axes(plain)
        for way in WAYS:
            laid = self._discs[:, :: int(way[1, 1]), :: int(way[0, 0])]
            yield way, _apart(plain, axes), _apart(laid.reshape(plain.shape), axes)

    def pose(self, first: int, second: int, way: Linear) -> Pose:
        """From the thumbnail of `first` to that of `second`."""
        linear = self.frames[second] @ way @ np.linalg.inv(self.frames[first])
        middle = np.full(2, (THUMBNAIL_SIDE - 1) / 2)
        return np.hstack([linear, (middle - linear @ middle)[:, None]])


def _frame(plane: Plane, aspect: float) -> Linear:
    """From the unit disc, grain level, to pixels of the thumbnail, about its middle."""
    upright = np.diag([1 / aspect, 1.0]) * THUMBNAIL_SIDE / 2 * min(aspect, 1.0)
    disc = _seen(plane, upright, 2 * DISC)
    across = np.asarray(cv2.Sobel(disc, cv2.CV_32F, 1, 0), np.float32)
    down = np.asarray(cv2.Sobel(disc, cv2.CV_32F, 0, 1), np.float32)
    inside = _inside(2 * DISC)
    joint = float((across * down * inside).sum())
    apart = float(((across**2 - down**2) * inside).sum())
    angle = 0.5 * np.arctan2(2 * joint, apart)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(upright @ np.array([[cosine, -sine], [sine, cosine]]), np.float64)


def _seen(plane: Plane, frame: Linear, side: int = DISC) -> Plane:
    """The disc that `frame` cuts out: float32, (side, side)."""
    linear = frame * 2 / side
    middle = np.full(2, (THUMBNAIL_SIDE - 1) / 2) - linear @ np.full(2, (side - 1) / 2)
    smooth = cv2.GaussianBlur(plane, (0, 0), 0.5 * THUMBNAIL_SIDE / side / 1.5)
    cut = cv2.warpAffine(smooth, np.hstack([linear, middle[:, None]]), (side, side), flags=FLAGS)
    return np.asarray(cut, np.float32)


def _inside(side: int) -> Plane:
    at = np.arange(side) - (side - 1) / 2
    return np.asarray(np.hypot(at[:, None], at[None]) < 0.45 * side, np.float32)


def _axes(discs: Plane) -> Plane:
    n = len(discs)
    count = min(COMPONENTS, n // 12)
    rows = np.random.default_rng(0).choice(n, min(n, SAMPLED), replace=False)
    sample = discs[rows] * _inside(DISC).ravel()
    return np.asarray(np.linalg.svd(sample, full_matrices=False)[2][:count], np.float32)


def _apart(discs: Plane, axes: Plane) -> Plane:
    rows = discs * _inside(DISC).ravel()
    rows = rows - (rows @ axes.T) @ axes
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-3), np.float32)
