"""A closer look at pairs that may be copies: both pictures read again, laid on each other pixel by
pixel, and their grain compared place by place.

A thumbnail shows what a part looks like, and parts of one design look alike. The grain at the scale
of single pixels shows which part it is: in a copy it agrees everywhere, whatever was done to the
picture; in two parts it agrees only where the design draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from trainer.audit.bands import Ground
from trainer.audit.photo import Photo, between_halves, in_pixels
from trainer.audit.pointpair import LIKE_POINTS, mutual, products
from trainer.audit.pose import MOST_SCALE, MOST_STRETCH, Pose

# Of blur, pixels; between them lie three band-passes: below is what compression writes, above
# them is shading.
WIDTHS = (0.7, 1.4, 2.8, 5.6)
HALF_WIDTHS = tuple(width / 2 for width in WIDTHS[1:])
LEAST_OVERLAP = 0.2
LOW = 0.1
HALF_STEPS = 20
STEPS = 10  # begun where the halves ended: more move nothing
LEAST_GAIN = 3e-4
SLACK = 0.2  # what a whole picture may agree better than its half: 0.15 at most where certain
LAID = 0.3  # of the halves' grain: they lie as they should, whether of one part or not
WELL_LAID = 0.6  # of the grain: better than any pair that does not lie as it should
FEWEST_AGREEING = 12  # key points: fewer agree on a map of any two pictures
COVERED = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
EXACT = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP

# Where certainty begins (docs/audit.md has the figures). Grain: planted copies that were aligned
# lie at 0.5 and more, compressed to a third included; different tiles and solar cells at 0.33 and
# less. Drawings of a few straight lines are laid on others of their kind at up to 0.89, but with
# few key points and much empty ground: the less there is to agree in, the more it must agree.
LEAST_GRAIN = 0.42
MANY_POINTS = 24
NEARLY_EQUAL = 0.95
FEW_POINTS = 6
FEWEST_WINDOWS = 8
SPARSE, DENSE = 32, 56  # windows
SHARE_OF_DENSE = 0.7  # of what many key points prove: a design may be dense too
LEAST_SHARP = 0.1


@dataclass(frozen=True, slots=True)
class Closer:
    """How the grain of two pictures agrees.

    `grain`: mean over three bands of the correlation, -1 to 1, of the windows at the lower tenth.
    `sharp`: the share of it, to 1, that a shift by 5 pixels destroys, in the direction that
    destroys least: lines lose nothing along themselves. `windows`: how many of 64 show something.
    """

    grain: float = 0.0
    sharp: float = 0.0
    windows: float = 0.0

    def certain(self, support: int) -> bool:
        """Whether they show one part and nothing else could, when `support` key points of both
        lie on each other."""
        if self.windows < FEWEST_WINDOWS or self.sharp < LEAST_SHARP:
            return False
        return self.grain >= self.least(support)

    def least(self, support: int) -> float:
        """The grain from which on they do: the less there is to agree in, the more."""
        points = (support - FEW_POINTS) / (MANY_POINTS - FEW_POINTS)
        ground = SHARE_OF_DENSE * min(1.0, (self.windows - SPARSE) / (DENSE - SPARSE))
        content = min(1.0, max(0.0, points, ground))
        return NEARLY_EQUAL + (LEAST_GRAIN - NEARLY_EQUAL) * content


NOTHING = Closer()


def look_closer(first: Photo, second: Photo, pose: Pose, support: int = MANY_POINTS) -> Closer:
    """How the grain of two pictures agrees; `pose` maps pixels of the first's thumbnail to the
    second's, and `support` key points bear it. Where they do not lie on each other that way, their
    key points say how else they may. What cannot be certain is not looked at to the end."""
    found, halves = _laid(first, second, in_pixels(pose, first, second), support)
    if max(found.grain / WELL_LAID, halves.grain / LAID) >= 1:
        return found
    way = _by_points(first, second, bool(np.linalg.det(pose[:, :2]) < 0))
    if way is None:
        return found
    return max(found, _laid(first, second, way, support)[0], key=lambda one: one.grain)


def _by_points(first: Photo, second: Photo, mirrored: bool) -> Pose | None:
    """The map that most of the key points that look alike agree on (RANSAC), in pixels."""
    (one, _), (other, _) = first.corners, second.corners
    if min(len(one), len(other)) < FEWEST_AGREEING:
        return None
    rows, columns = mutual(products(first.rooted(False), second.rooted(mirrored)), LIKE_POINTS)
    if len(rows) < FEWEST_AGREEING:
        return None
    estimate, agreeing = cv2.estimateAffine2D(
        one[rows], other[columns], ransacReprojThreshold=3.0, maxIters=500
    )
    if estimate is None or np.count_nonzero(agreeing) < FEWEST_AGREEING:
        return None
    way = np.asarray(estimate, np.float64)
    long, short = np.linalg.svd(way[:, :2], compute_uv=False)
    fits = long < MOST_SCALE and short > 1 / MOST_SCALE and long < MOST_STRETCH * short
    return way if fits and bool(np.linalg.det(way[:, :2]) < 0) == mirrored else None


def _laid(first: Photo, second: Photo, way: Pose, support: int) -> tuple[Closer, Closer]:
    """How the grain agrees when pixels of the first lie on the second as `way` says, or nearly; and
    how that of the halved pictures does."""
    if abs(np.linalg.det(way[:, :2])) < 1:  # compared on the grid of the coarser
        first, second = second, first
        way = np.asarray(cv2.invertAffineTransform(way), np.float64)
    # At half the size first: a quarter of the time, and many pairs that are no copies end there.
    start = between_halves(way, first, second)
    small = _refined(first.halved, second.halved, start, HALF_STEPS)
    halves = _compared(first.halved, second.halved, small, HALF_WIDTHS)
    if halves.grain < WELL_LAID:  # it may have been led astray
        still = _compared(first.halved, second.halved, start, HALF_WIDTHS)
        if still.grain > halves.grain:
            small, halves = start, still
    if halves.grain < halves.least(support) - SLACK:
        return NOTHING, halves
    way = between_halves(small, first, second, back=True)
    reduced = float(np.sqrt(abs(np.linalg.det(way[:, :2]))))
    if reduced > 1.15:  # else it would alias
        second = second.softened(0.5 * float(np.sqrt(reduced**2 - 1)))
    found = _compared(first, second, _refined(first, second, way, STEPS), WIDTHS)
    if small is start and found.grain < WELL_LAID:
        found = max(found, _compared(first, second, way, WIDTHS), key=lambda one: one.grain)
    return found, halves


def _refined(first: Photo, second: Photo, way: Pose, steps: int) -> Pose:
    """The way that maximises their correlation; the start where that does not converge."""
    one, other = first.even.astype(np.float32), second.even.astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, LEAST_GAIN)
    try:
        # The mask is that of the picture which is moved, and has its size.
        _, found = cv2.findTransformECC(
            one, other, way.astype(np.float32), cv2.MOTION_AFFINE, criteria, second.inner, 5
        )
    except cv2.error:
        return way
    return np.asarray(found, np.float64)


def _compared(first: Photo, second: Photo, way: Pose, widths: Sequence[float]) -> Closer:
    """How the grain between the `widths` of blur, in pixels, agrees where both show something."""
    seen = cv2.warpAffine(second.grey.astype(np.float32), way, first.size, flags=EXACT)
    there = np.asarray(cv2.warpAffine(second.inner, way, first.size, flags=COVERED)) > 254
    mask = (there & (first.inner > 0)).astype(np.float32)
    if mask.mean() < LEAST_OVERLAP:
        return NOTHING
    plane = first.grey.astype(np.float32)
    bands = Ground(mask).bands(plane, np.asarray(seen, np.float32), widths)
    if not all(len(band.agreement) for band in bands):
        return NOTHING
    grain = float(np.mean([np.quantile(band.agreement, LOW) for band in bands]))
    windows = max(len(band.agreement) for band in bands) / 4  # they overlap by half, both ways
    if grain < LEAST_GRAIN:  # nothing can make it certain
        return Closer(grain, 0.0, windows)
    # The coarsest band is about as wide as the shift: it tells nothing of it.
    sharp = min(band.lost_by_shifts() for band in bands[:2])
    return Closer(grain, sharp, windows)
