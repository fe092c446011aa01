"""The pose of one picture in another: an affine map, its fit, its limits and its description."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import THUMBNAIL_SIDE

Points = NDArray[np.float32]
Pose = NDArray[np.float64]  # (2, 3): pixel of the first thumbnail to pixel of the second

MAX_SCALE = 1.9
MAX_STRETCH = 1.7  # of one direction against the other, as in strong shear
# Product of two RootSIFT descriptors above which they show one corner, also under another light.
MIN_DESCRIPTOR_PRODUCT = 0.8
MIN_POINTS = 4
MAX_SHIFT_CHANGE = 0.1  # of a unit vector, by a map that still counts as a shift


def quarter_turns() -> list[Pose]:
    """The eight ways to lay a square on a square: four turns, plain and mirrored; plain first."""
    poses = []
    for mirror in (1.0, -1.0):
        for cosine, sine in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            linear = np.array([[cosine, -sine], [sine, cosine]], np.float64) @ np.diag([mirror, 1])
            poses.append(about_middle(linear, THUMBNAIL_SIDE))
    return poses


def about_middle(linear: NDArray[np.float64], side: int) -> Pose:
    """The map with `linear`, (2, 2), that keeps the middle pixel in place."""
    middle = np.full(2, (side - 1) / 2)
    return np.hstack([linear, (middle - linear @ middle)[:, None]])


def rescaled(pose: Pose, factor: float) -> Pose:
    """The same map for thumbnails `factor` times as large; pixel centres map to pixel centres."""
    shift = pose[:, 2] * factor + (factor - 1) / 2 * (1 - pose[:, :2].sum(axis=1))
    return np.hstack([pose[:, :2], shift[:, None]])


def inverted(pose: Pose) -> Pose:
    """The inverse map."""
    return np.asarray(cv2.invertAffineTransform(pose), np.float64)


def pose_from_points(
    first: Points, second: Points, products: Points, max_iterations: int
) -> Pose | None:
    """The affine map that most pairs of similar key points agree on (RANSAC); None without one.

    `first`, (k, 2), and `second`, (m, 2), are key points in pixels; `products`, (k, m), are the
    products of their RootSIFT descriptors. Pairs are mutual best matches.
    """
    if min(len(first), len(second)) < MIN_POINTS:
        return None
    best_second, best_first = products.argmax(axis=1), products.argmax(axis=0)
    mutual = best_first[best_second] == np.arange(len(best_second))
    rows = np.flatnonzero(mutual & (products.max(axis=1) > MIN_DESCRIPTOR_PRODUCT))
    if len(rows) < MIN_POINTS:
        return None
    estimate, _ = cv2.estimateAffine2D(
        first[rows], second[best_second[rows]], ransacReprojThreshold=3.0, maxIters=max_iterations
    )
    return None if estimate is None else np.asarray(estimate, np.float64)


def is_mirrored(pose: Pose) -> bool:
    """Whether the map mirrors the picture."""
    return bool(np.linalg.det(pose[:, :2]) < 0)


def is_shift(pose: Pose) -> bool:
    """Whether it moves a picture, and hardly turns, mirrors, scales or stretches it."""
    return bool(np.abs(pose[:, :2] - np.eye(2)).max() <= MAX_SHIFT_CHANGE)


def plausible(pose: Pose, aspects: tuple[float, float] = (1.0, 1.0)) -> bool:
    """Whether the scale and the stretch of the map are within the limits of a copy.

    `aspects` are width / height of the two pictures when `pose` maps thumbnails. Thumbnails are
    scaled to squares, so a turned oblong picture looks strongly sheared in them.
    """
    if not np.isfinite(pose).all():
        return False
    first, second = aspects
    wide, high = float(np.sqrt(second / first)), float(np.sqrt(second * first))
    linear = pose[:, :2] * np.array([[wide, high], [1 / high, 1 / wide]])
    # Singular values of a 2 × 2 matrix in closed form: this runs several times a pair.
    square, area = float((linear**2).sum()), abs(float(np.linalg.det(linear)))
    long = float(np.sqrt((square + np.sqrt(max(0.0, square**2 - 4 * area**2))) / 2))
    short = area / long if long else 0.0
    return bool(long < MAX_SCALE and short > 1 / MAX_SCALE and long < MAX_STRETCH * short)


def in_words(pose: Pose, first: tuple[int, int], second: tuple[int, int]) -> list[str]:
    """The changes that turn the first picture into the second, in words; none gives an empty list.

    `first` and `second` are (width, height) in pixels.
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
