"""Aligns two thumbnails and compares them without the structure that all pictures share.

All parts of one product look alike: the bus bars of two solar cells correlate at 0.99. So the
shared structure (principal components of the set) is regressed out of both. The residuals
correlate only in copies. The fine detail must agree too, and it must agree everywhere.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import Pose, is_shift, plausible, rescaled
from trainer.audit.window_texture import (
    FEW_POINTS,
    MIN_TEXTURE_SPARSE,
    NO_MATCH,
    SPARSE_WINDOWS,
    PixelMatch,
)

COARSE_SIDE = 48  # pixels
COMPONENTS = 12
SAMPLE_SIZE = 300  # pictures from which the shared structure is learned
MIN_OVERLAP = 0.35
WARP_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

# The limits of copies, from solar cells, circuit boards and magnetic tiles (docs/audit.md):
# planted copies reach 0.78 / 0.7 / 0.86 once aligned, pairs of different parts stay below.
MIN_RESIDUAL = 0.75
MIN_DETAIL = 0.5
MIN_LOCAL = 0.7
MIN_SUPPORT = 5
FLAT_SHARE = 0.2  # of the median variance: a window below it is flat
MIN_RESIDUAL_UNSUPPORTED = 0.9
MIN_START_CORRELATION = 0.25
MIN_COARSE_CORRELATION = 0.45


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two aligned pictures.

    - `pose` maps pixels of the first thumbnail to the second.
    - Correlations, -1 to 1: `residual` without the shared structure, `detail` of the fine detail,
      `local` the lower quartile over windows, `worst` the lower twentieth over windows.
    - `overlap`: the shared area, 0 to 1.
    - `support`: the number of key points that coincide.
    - `pixel_match`: the comparison of the pictures at full scale.
    """

    pose: Pose
    residual: float
    detail: float
    local: float
    worst: float
    overlap: float
    support: int = 0
    pixel_match: PixelMatch = NO_MATCH

    @property
    def certain(self) -> bool:
        """Whether both must show one part: their texture agrees.

        Where less than half of the picture has content, the thumbnails must agree as well, and a
        pose that turns, mirrors or scales needs key points and more agreement: many drawings
        contain the same few lines and arcs, turned and stretched.
        """
        match = self.pixel_match
        if not match.certain(self.support):
            return False
        if match.windows >= SPARSE_WINDOWS:
            return True
        proven = match.texture >= MIN_TEXTURE_SPARSE and self.support >= FEW_POINTS
        return self.residual >= MIN_RESIDUAL and (proven or is_shift(self.pose))

    @property
    def copy(self) -> bool:
        """Whether their thumbnails are alike enough to be copies, or parts of one design."""
        alike = (
            self.residual >= MIN_RESIDUAL and self.detail >= MIN_DETAIL and self.local >= MIN_LOCAL
        )
        # Turning a soft picture blurs it: the residual is then weak, but many key points agree.
        supported = (
            self.residual >= 0.55 and self.detail >= 0.8 and self.local >= 0.9
        ) and self.support >= 25
        if not (alike or supported):
            return False
        # Some affine map lays a few straight lines on any others. So key points must support the
        # map, more of them where the overlap is small, unless it is only a quarter turn.
        min_support = MIN_SUPPORT if self.overlap >= 0.65 else 2 * MIN_SUPPORT
        return self.support >= min_support or (
            self.quarter_turn_only and self.residual >= MIN_RESIDUAL_UNSUPPORTED
        )

    @property
    def quarter_turn_only(self) -> bool:
        """Whether the pose has only quarter turns and mirroring."""
        long, short = np.linalg.svd(self.pose[:, :2], compute_uv=False)
        return bool(self.overlap > 0.9 and long < 1.04 * short and 0.96 < long < 1.04)


@dataclass(frozen=True, slots=True)
class SharedStructure:
    """The structure shared by all pictures.

    - `planes`: float32, (k, 96, 96).
    - `axes`: the same at half size, orthonormal: float32, (k, 2304).
    """

    planes: Plane
    axes: Plane

    def without(self, half: Plane) -> Plane:
        """A thumbnail of half size, float32, (48, 48), without the shared structure."""
        flat = half.ravel()
        return np.asarray((flat - self.axes.T @ (self.axes @ flat)).reshape(half.shape), np.float32)


def shared_structure(
    store: FingerprintStore, members: NDArray[np.int64], max_components: int = COMPONENTS
) -> SharedStructure:
    """The first principal components of a sample of the rows `members`.

    A small set gets fewer components, because more would explain its pictures completely.
    """
    n = len(members)
    count = min(max_components, n // 12)
    if count == 0:
        return SharedStructure(
            np.empty((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.float32),
            np.empty((0, COARSE_SIDE * COARSE_SIDE), np.float32),
        )
    rows = np.random.default_rng(0).choice(np.sort(members), min(n, SAMPLE_SIZE), replace=False)
    sample = np.stack([store.plane(row).ravel() for row in rows.tolist()])
    _, axes = np.linalg.eigh((sample @ sample.T).astype(np.float64))
    planes = axes[:, ::-1][:, :count].T.astype(np.float32) @ sample
    planes /= np.linalg.norm(planes, axis=1, keepdims=True) + 1e-6
    planes = planes.reshape(count, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    halves = np.stack([half_size(plane).ravel() for plane in planes])
    return SharedStructure(planes, np.linalg.svd(halves, full_matrices=False)[2])


def half_size(plane: Plane) -> Plane:
    """The thumbnail at half the side: float32, (48, 48)."""
    size = (COARSE_SIDE, COARSE_SIDE)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True, slots=True)
class CoarseMatch:
    """Two thumbnails aligned at half size. `agreement`, -1 to 1, is without shared structure."""

    pose: Pose
    agreement: float


def align_coarsely(
    first: Plane, second: Plane, start: Pose, common: SharedStructure, aspects: tuple[float, float]
) -> CoarseMatch | None:
    """Aligns two thumbnails of half size, float32, (48, 48), from the pose `start`.

    `start` and the result's pose are between whole thumbnails. None when they agree too little for
    an exact comparison. `aspects` are width / height of each picture.
    """
    pose = rescaled(start, 0.5)
    if _agree(first, second, pose, None) < MIN_START_CORRELATION:
        return None
    pose = _refined(first, second, pose, 25)
    if not plausible(pose, aspects):
        return None
    agreement = _agree(first, second, pose, common.axes.reshape(-1, *first.shape))
    if agreement < MIN_COARSE_CORRELATION:
        return None
    return CoarseMatch(rescaled(pose, 2.0), agreement)


def align_finely(
    first: Plane, second: Plane, start: Pose, common: SharedStructure, aspects: tuple[float, float]
) -> Alignment | None:
    """Aligns `second` to `first`, both float32, (96, 96), from a coarse match, and compares them.

    None when no plausible pose is found.
    """
    pose = _refined(first, second, start, 25)
    if not plausible(pose, aspects):
        return None
    return compare_at(first, second, pose, common)


def _refined(first: Plane, second: Plane, pose: Pose, steps: int) -> Pose:
    """The pose of maximal correlation (ECC: Evangelidis and Psarakis, 2008)."""
    whole = np.ones(first.shape, np.uint8)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-3)
    try:
        _, found = cv2.findTransformECC(
            first, second, pose.astype(np.float32), cv2.MOTION_AFFINE, criteria, whole, 3
        )
    except cv2.error:  # no convergence: keep the start
        return pose
    return np.asarray(found, np.float64)


def compare_at(first: Plane, second: Plane, pose: Pose, common: SharedStructure) -> Alignment:
    """Compares two thumbnails, float32, (96, 96), at `pose`, without the structure `common`."""
    aligned, mask = _warped(second, pose), _overlap_mask(second, pose)
    overlap = float(mask.mean())
    if overlap < MIN_OVERLAP:
        return Alignment(pose, 0, 0, 0, 0, overlap)
    # Neighbouring pixels are redundant: every third pixel is enough and three times as fast.
    sampled = mask.copy()
    sampled.reshape(-1)[np.flatnonzero(mask)] = np.arange(np.count_nonzero(mask)) % 3 == 0
    bases = _bases(common.planes, pose, sampled)
    residual = _correlation(first[sampled], aligned[sampled], bases)
    second_detail = _warped(_detail(second), pose)
    detail = _correlation(_detail(first)[mask], second_detail[mask], None)
    local, worst = _local(first, aligned, mask)
    return Alignment(pose, residual, detail, local, worst, overlap)


def _agree(first: Plane, second: Plane, pose: Pose, common: Plane | None) -> float:
    mask = _overlap_mask(second, pose)
    if mask.mean() < MIN_OVERLAP:
        return 0.0
    bases = None if common is None else _bases(common, pose, mask)
    return _correlation(first[mask], _warped(second, pose)[mask], bases)


def _warped(plane: Plane, pose: Pose) -> Plane:
    """`plane`, of the second picture, on the grid of the first."""
    size = (plane.shape[1], plane.shape[0])
    return np.asarray(cv2.warpAffine(plane, pose, size, flags=WARP_FLAGS), np.float32)


def _overlap_mask(plane: Plane, pose: Pose) -> NDArray[np.bool_]:
    """Where the warped plane has content, without a border of 2 px."""
    covered = cv2.erode(_warped(np.ones_like(plane), pose), np.ones((5, 5), np.uint8))
    return np.asarray(covered) > 0.99


def _bases(planes: Plane, pose: Pose, mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """The shared structure at its place in both pictures: float32, (k, pixels), or None."""
    if not len(planes):
        return None
    rows = [planes[:, mask]]
    if np.abs(pose - np.eye(2, 3)).max() > 0.02:
        rows.append(np.stack([_warped(plane, pose) for plane in planes])[:, mask])
    return np.concatenate(rows)


def _correlation(
    first: NDArray[np.float32], second: NDArray[np.float32], bases: NDArray[np.float32] | None
) -> float:
    """The correlation of two rows of pixels after `bases` are regressed out; 0 for flat rows."""
    both = np.stack([first - first.mean(), second - second.mean()])
    if bases is not None:
        bases = bases - bases.mean(axis=1, keepdims=True)
        square = bases @ bases.T
        square[np.diag_indices(len(square))] += 1e-3 * np.trace(square) / len(square) + 1e-6
        both = both - np.linalg.solve(square, bases @ both.T).T @ bases
    joint = both @ both.T
    size = float(np.sqrt(joint[0, 0] * joint[1, 1]))
    return float(joint[0, 1]) / size if size > 1e-3 * len(first) else 0.0


def _detail(plane: Plane) -> Plane:
    fine = cv2.GaussianBlur(plane, (0, 0), 0.7) - cv2.GaussianBlur(plane, (0, 0), 2.0)
    return np.asarray(fine, np.float32)


def _local(first: Plane, aligned: Plane, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Correlations in windows of a quarter side: the lower quartile and the lower twentieth."""
    weights = mask.astype(np.float32)
    share = _window(weights)
    whole = share > 0.8
    if not whole.any():
        return 0.0, 0.0
    weight = share + 1e-6

    def mean(plane: Plane) -> Plane:
        return _window(plane * weights) / weight

    left, right = mean(first), mean(aligned)
    joint = mean(first * aligned) - left * right
    spread = [mean(p * p) - m * m for p, m in ((first, left), (aligned, right))]
    # Only windows with content count: two flat windows share nothing but noise.
    larger = np.maximum(spread[0], spread[1])
    whole &= larger > FLAT_SHARE * float(np.median(larger[whole]))
    floor = np.float32(0.1) * larger
    sizes = np.maximum(spread[0], floor) * np.maximum(spread[1], floor)
    found = (joint / np.sqrt(sizes + np.float32(1e-6)))[whole]
    quarter, twentieth = np.quantile(found, [0.25, 0.05])
    return float(quarter), float(twentieth)


def _window(plane: Plane) -> Plane:
    side = plane.shape[0] // 4
    return np.asarray(cv2.blur(plane, (side, side)), np.float32)
