"""Compares the texture of surfaces: brushed, rolled or striped ones have few key points.

Such a surface has a direction. The middle disc of each picture is turned so that its texture lies
level (structure tensor). Copies then match at any angle, up to half turns and mirroring, so four
orientations remain.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import Pose, about_middle

DISC_SIDE = 24  # pixels
COMPONENTS = 8  # of the structure that all discs share, which is regressed out
SAMPLE_SIZE = 500
WARP_FLAGS = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
ORIENTATIONS = (
    np.diag([1.0, 1.0]),
    np.diag([-1.0, -1.0]),
    np.diag([1.0, -1.0]),
    np.diag([-1.0, 1.0]),
)

Linear = NDArray[np.float64]


class TextureMatch:
    """The levelled discs of all pictures. `frames`, (n, 2, 2), map the disc to the thumbnail."""

    def __init__(self, store: FingerprintStore) -> None:
        n = len(store)
        self.frames = np.empty((n, 2, 2))
        discs = np.empty((n, DISC_SIDE, DISC_SIDE), np.float32)
        for row in range(n):
            plane, aspect = store.plane(row), float(store.aspects[row])
            self.frames[row] = _frame(plane, aspect)
            discs[row] = _cut_disc(plane, self.frames[row])
        self._discs = discs

    def orientations(self) -> Iterator[tuple[Linear, Plane, Plane]]:
        """Each orientation, with all discs upright and in that orientation.

        Discs are float32, (n, 576), of length 1, without the structure that all discs share.
        """
        rows = self._discs.reshape(len(self._discs), -1)
        axes = _axes(rows)
        upright = without_axes(rows * _inside(DISC_SIDE).ravel(), axes)
        for orientation in ORIENTATIONS:
            turned = self._discs[:, :: int(orientation[1, 1]), :: int(orientation[0, 0])]
            turned = turned.reshape(rows.shape) * _inside(DISC_SIDE).ravel()
            yield orientation, upright, without_axes(turned, axes)

    def pose(self, first: int, second: int, orientation: Linear) -> Pose:
        """The map from the thumbnail of `first` to that of `second`."""
        linear = self.frames[second] @ orientation @ np.linalg.inv(self.frames[first])
        return about_middle(linear, THUMBNAIL_SIDE)


def _frame(plane: Plane, aspect: float) -> Linear:
    """The map from the unit disc with level texture to pixels of the thumbnail."""
    upright = np.diag([1 / aspect, 1.0]) * THUMBNAIL_SIDE / 2 * min(aspect, 1.0)
    disc = _cut_disc(plane, upright, 2 * DISC_SIDE)
    across = np.asarray(cv2.Sobel(disc, cv2.CV_32F, 1, 0), np.float32)
    down = np.asarray(cv2.Sobel(disc, cv2.CV_32F, 0, 1), np.float32)
    inside = _inside(2 * DISC_SIDE)
    joint = float((across * down * inside).sum())
    difference = float(((across**2 - down**2) * inside).sum())
    angle = 0.5 * np.arctan2(2 * joint, difference)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(upright @ np.array([[cosine, -sine], [sine, cosine]]), np.float64)


def _cut_disc(plane: Plane, frame: Linear, side: int = DISC_SIDE) -> Plane:
    """The disc that `frame` cuts out: float32, (side, side)."""
    linear = frame * 2 / side
    middle = np.full(2, (THUMBNAIL_SIDE - 1) / 2) - linear @ np.full(2, (side - 1) / 2)
    smooth = cv2.GaussianBlur(plane, (0, 0), 0.5 * THUMBNAIL_SIDE / side / 1.5)
    pose = np.hstack([linear, middle[:, None]])
    disc = cv2.warpAffine(smooth, pose, (side, side), flags=WARP_FLAGS)
    return np.asarray(disc, np.float32)


def _inside(side: int) -> Plane:
    at = np.arange(side) - (side - 1) / 2
    return np.asarray(np.hypot(at[:, None], at[None]) < 0.45 * side, np.float32)


def _axes(discs: Plane) -> Plane:
    n = len(discs)
    count = min(COMPONENTS, n // 12)
    rows = np.random.default_rng(0).choice(n, min(n, SAMPLE_SIZE), replace=False)
    sample = discs[rows] * _inside(DISC_SIDE).ravel()
    return np.asarray(np.linalg.svd(sample, full_matrices=False)[2][:count], np.float32)


def without_axes(rows: Plane, axes: Plane) -> Plane:
    """Each row without its components along `axes`, scaled to length 1: float32, as `rows`."""
    rest = rows - (rows @ axes.T) @ axes
    return np.asarray(rest / (np.linalg.norm(rest, axis=1, keepdims=True) + 1e-3), np.float32)
