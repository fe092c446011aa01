"""How one picture lies in another: an affine map, what is plausible, and how to say it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import THUMBNAIL_SIDE

Pose = NDArray[np.float64]  # (2, 3): pixel of the first thumbnail to pixel of the second

MOST_SCALE = 1.9
MOST_STRETCH = 1.7  # of one direction against the other: strong shear; a thing seen aslant is more


def quarter_turns() -> list[Pose]:
    """The eight ways to lay a square on a square: four turns, plain and mirrored; plain first."""
    poses = []
    for mirror in (1.0, -1.0):
        for cosine, sine in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            linear = np.array([[cosine, -sine], [sine, cosine]], np.float64) @ np.diag([mirror, 1])
            poses.append(about_middle(linear, THUMBNAIL_SIDE))
    return poses


def about_middle(linear: NDArray[np.float64], side: int) -> Pose:
    """The map that keeps the middle pixel where it is; `linear` is (2, 2)."""
    middle = np.full(2, (side - 1) / 2)
    return np.hstack([linear, (middle - linear @ middle)[:, None]])


def rescaled(pose: Pose, factor: float) -> Pose:
    """The same map for thumbnails `factor` times as large; pixel middles stay pixel middles."""
    shift = pose[:, 2] * factor + (factor - 1) / 2 * (1 - pose[:, :2].sum(axis=1))
    return np.hstack([pose[:, :2], shift[:, None]])


def inverted(pose: Pose) -> Pose:
    """The way back."""
    return np.asarray(cv2.invertAffineTransform(pose), np.float64)


def plausible(pose: Pose, aspects: tuple[float, float]) -> bool:
    """Whether a copy may lie so: not shrunk to a point, not squeezed to a line.

    `aspects` are width / height of the two pictures: thumbnails are squeezed to squares, so that a
    turn of an oblong picture looks like a strong shear in them.
    """
    if not np.isfinite(pose).all():
        return False
    first, second = (np.diag([np.sqrt(aspect), 1 / np.sqrt(aspect)]) for aspect in aspects)
    linear = second @ pose[:, :2] @ np.linalg.inv(first)
    long, short = np.linalg.svd(linear, compute_uv=False)
    return bool(long < MOST_SCALE and short > 1 / MOST_SCALE and long < MOST_STRETCH * short)


def in_words(pose: Pose, first: tuple[int, int], second: tuple[int, int]) -> list[str]:
    """What was done to the first picture to get the second; sizes are (width, height) in pixels.

    An empty list when it lies as it lay.
    """
    linear = np.diag(second) @ pose[:, :2] @ np.linalg.inv(np.diag(first))
    linear = linear / np.sqrt(abs(np.linalg.det(linear)))
    size = float(
        np.sqrt(abs(np.linalg.det(np.diag(second) @ pose[:, :2] @ np.diag(1 / np.array(first)))))
    )
    changes = []
    mirrored = np.linalg.det(linear) < 0
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    left, stretch, right = np.linalg.svd(linear)
    turn = left @ right
    angle = float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
    quarter = round(angle / 90) * 90
    if mirrored and abs(abs(angle) - 180) < 2:
        changes.append("mirrored top to bottom")
    elif mirrored and abs(angle) < 2:
        changes.append("mirrored left to right")
    elif mirrored:
        changes.append("mirrored")
    if abs(angle - quarter) < 2:
        angle = quarter
    upright = mirrored and abs(abs(angle) - 180) < 2
    if abs(angle) >= 2 and not upright:
        changes.append(f"rotated by {angle % 360:.0f}°")
    if stretch[0] / stretch[1] > 1.04:
        changes.append("sheared or stretched")
    if abs(np.log(size)) > 0.03:
        changes.append("scaled")
    return changes
