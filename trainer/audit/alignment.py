"""Whether two pictures show the same: laid on each other exactly, then compared without what all
pictures of the set have in common.

All parts of one product look alike: the bus bars of two solar cells correlate at 0.99. So the
common structure (principal components of the set) is regressed out of both first; what remains
correlates only in copies. Also the fine detail alone must agree, and it must agree all over.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pixel_match import NO_MATCH, SPARSE, PixelMatch
from trainer.audit.pose import Pose, plausible, rescaled

COARSE = 48
COMPONENTS = 12
SAMPLED = 300  # pictures from which the common structure is learned
LEAST_OVERLAP = 0.35
FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

# Where copies begin, on solar cells, circuit boards and magnetic tiles (docs/audit.md): planted
# copies that were aligned lie at 0.78 / 0.7 / 0.86, pairs of different parts below.
LEAST_OWN = 0.75
LEAST_FINE = 0.5
LEAST_LOCAL = 0.7
LEAST_SUPPORT = 5
STRUCTURE = 0.2  # of the usual variance: below it a place is flat
PLAIN_OWN = 0.9
WORTH_REFINING = 0.25
WORTH_FINE = 0.45


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two pictures laid on each other.

    `pose` maps pixels of the first thumbnail to the second. Correlations, -1 to 1: `own` of what
    is not common to the set, `fine` of the fine detail, `local` of the place that is at the lower
    quarter, `worst` at the lower twentieth. `overlap` is the shared area, 0 to 1; `support` how
    many key points of both lie on each other; `pixel_match` what the pictures themselves say.
    """

    pose: Pose
    own: float
    fine: float
    local: float
    worst: float
    overlap: float
    support: int = 0
    pixel_match: PixelMatch = NO_MATCH

    @property
    def certain(self) -> bool:
        """Whether they show one part and nothing else could: the grain agrees.

        Where less than half of the picture shows anything to compare, the thumbnails must agree as
        well: a few straight lines are found in many a drawing, turned and stretched.
        """
        little = self.pixel_match.windows < SPARSE and self.own < LEAST_OWN
        return self.pixel_match.certain(self.support) and not little

    @property
    def copy(self) -> bool:
        """Whether their thumbnails are alike enough to be copies, or parts of one design."""
        alike = self.own >= LEAST_OWN and self.fine >= LEAST_FINE and self.local >= LEAST_LOCAL
        # Turning a soft picture blurs it: what is its own is then little, but many points agree.
        borne = self.own >= 0.55 and self.fine >= 0.8 and self.local >= 0.9 and self.support >= 25
        if not (alike or borne):
            return False
        # A few straight lines can be laid on any others by some affine map: such a map must be
        # borne by key points, the more the less is in common, or be none to speak of.
        least = LEAST_SUPPORT if self.overlap >= 0.65 else 2 * LEAST_SUPPORT
        return self.support >= least or (self.plain and self.own >= PLAIN_OWN)

    @property
    def plain(self) -> bool:
        """Whether nothing but quarter turns and mirroring lies between the two."""
        long, short = np.linalg.svd(self.pose[:, :2], compute_uv=False)
        return bool(self.overlap > 0.9 and long < 1.04 * short and 0.96 < long < 1.04)


@dataclass(frozen=True, slots=True)
class SharedStructure:
    """What the pictures of a set have in common: float32, (k, 96, 96), and reduced, (k, 48, 48)."""

    planes: Plane
    coarse: Plane


def shared_structure(
    store: FingerprintStore, members: NDArray[np.int64], most: int = COMPONENTS
) -> SharedStructure:
    """The first principal components of a sample of the rows `members`; fewer of a small set, which
    they would explain wholly."""
    n = len(members)
    count = min(most, n // 12)
    if count == 0:
        return SharedStructure(
            np.empty((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.float32),
            np.empty((0, 48, 48), np.float32),
        )
    rows = np.random.default_rng(0).choice(np.sort(members), min(n, SAMPLED), replace=False)
    sample = store.planes(rows).reshape(len(rows), -1)
    _, axes = np.linalg.eigh((sample @ sample.T).astype(np.float64))
    planes = axes[:, ::-1][:, :count].T.astype(np.float32) @ sample
    planes /= np.linalg.norm(planes, axis=1, keepdims=True) + 1e-6
    planes = planes.reshape(count, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return SharedStructure(planes, np.stack([half_size(plane) for plane in planes]))


def half_size(plane: Plane) -> Plane:
    """Half the side: float32, (48, 48)."""
    return np.asarray(cv2.resize(plane, (COARSE, COARSE), interpolation=cv2.INTER_AREA), np.float32)


def align(
    first: Plane, second: Plane, start: Pose, common: SharedStructure, aspects: tuple[float, float]
) -> Alignment | None:
    """Lays `second` on `first`, both float32, (96, 96), beginning with `start`; None if they do not
    agree well enough to be worth an exact look. `aspects` are width / height of each."""
    small = half_size(first), half_size(second)
    pose = rescaled(start, 0.5)
    if _agree(*small, pose, None) < WORTH_REFINING:
        return None
    pose = _refined(*small, pose, 25)
    if not plausible(pose, aspects) or _agree(*small, pose, common.coarse) < WORTH_FINE:
        return None
    pose = _refined(first, second, rescaled(pose, 2.0), 25)
    if not plausible(pose, aspects):
        return None
    return _compared(first, second, pose, common)


def _refined(first: Plane, second: Plane, pose: Pose, steps: int) -> Pose:
    """The pose that maximises their correlation (ECC: Evangelidis and Psarakis, 2008)."""
    everywhere = np.ones(first.shape, np.uint8)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-3)
    try:
        _, found = cv2.findTransformECC(
            first, second, pose.astype(np.float32), cv2.MOTION_AFFINE, criteria, everywhere, 3
        )
    except cv2.error:  # it did not converge: the start stands
        return pose
    return np.asarray(found, np.float64)


def _compared(first: Plane, second: Plane, pose: Pose, common: SharedStructure) -> Alignment:
    aligned, mask = _through(second, pose), _seen_where(second, pose)
    overlap = float(mask.mean())
    if overlap < LEAST_OVERLAP:
        return Alignment(pose, 0, 0, 0, 0, overlap)
    # Neighbouring pixels say the same: every third is enough, and three times as fast.
    some = mask.copy()
    some.reshape(-1)[np.flatnonzero(mask)] = np.arange(np.count_nonzero(mask)) % 3 == 0
    own = _correlation(first[some], aligned[some], _bases(common.planes, pose, some))
    fine_seen = _through(_detail(second), pose)
    fine = _correlation(_detail(first)[mask], fine_seen[mask], None)
    local, worst = _local(first, aligned, mask)
    return Alignment(pose, own, fine, local, worst, overlap)


def _agree(first: Plane, second: Plane, pose: Pose, common: Plane | None) -> float:
    mask = _seen_where(second, pose)
    if mask.mean() < LEAST_OVERLAP:
        return 0.0
    bases = None if common is None else _bases(common, pose, mask)
    return _correlation(first[mask], _through(second, pose)[mask], bases)


def _through(plane: Plane, pose: Pose) -> Plane:
    """`plane` as seen from the first picture."""
    size = (plane.shape[1], plane.shape[0])
    return np.asarray(cv2.warpAffine(plane, pose, size, flags=FLAGS), np.float32)


def _seen_where(plane: Plane, pose: Pose) -> NDArray[np.bool_]:
    """Where it is seen; 2 px of the edge are not."""
    there = cv2.erode(_through(np.ones_like(plane), pose), np.ones((5, 5), np.uint8))
    return np.asarray(there) > 0.99


def _bases(planes: Plane, pose: Pose, mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """The common structure as it lies in both pictures: float32, (k, pixels), or None."""
    if not len(planes):
        return None
    rows = [plane[mask] for plane in planes]
    if np.abs(pose - np.eye(2, 3)).max() > 0.02:
        rows += [_through(plane, pose)[mask] for plane in planes]
    return np.stack(rows)


def _correlation(
    first: NDArray[np.float32], second: NDArray[np.float32], bases: NDArray[np.float32] | None
) -> float:
    """Of two rows of pixels, without the part that `bases` explain; 0 where nothing varies.

    einsum and not @: BLAS would start threads of its own in each of ours, which is ten times
    slower on a busy machine.
    """
    both = np.stack([first - first.mean(), second - second.mean()])
    if bases is not None:
        bases = bases - bases.mean(axis=1, keepdims=True)
        square = np.einsum("ip,jp->ij", bases, bases)
        square[np.diag_indices(len(square))] += 1e-3 * np.trace(square) / len(square) + 1e-6
        weights = np.linalg.solve(square, np.einsum("ip,jp->ij", bases, both))
        both = both - np.einsum("ij,ip->jp", weights, bases)
    joint = np.einsum("ip,jp->ij", both, both)
    size = float(np.sqrt(joint[0, 0] * joint[1, 1]))
    return float(joint[0, 1]) / size if size > 1e-3 * len(first) else 0.0


def _detail(plane: Plane) -> Plane:
    fine = cv2.GaussianBlur(plane, (0, 0), 0.7) - cv2.GaussianBlur(plane, (0, 0), 2.0)
    return np.asarray(fine, np.float32)


def _local(first: Plane, aligned: Plane, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Correlations in windows of a quarter of the side: their lower quarter and twentieth."""
    there = mask.astype(np.float32)
    share = _window(there)
    whole = share > 0.8
    if not whole.any():
        return 0.0, 0.0
    weight = share + 1e-6

    def mean(plane: Plane) -> Plane:
        return _window(plane * there) / weight

    left, right = mean(first), mean(aligned)
    joint = mean(first * aligned) - left * right
    spread = [mean(p * p) - m * m for p, m in ((first, left), (aligned, right))]
    # Only places where something is: both flat agree in nothing but noise.
    more = np.maximum(spread[0], spread[1])
    whole &= more > STRUCTURE * float(np.median(more[whole]))
    floor = np.float32(0.1) * more
    sizes = np.maximum(spread[0], floor) * np.maximum(spread[1], floor)
    found = (joint / np.sqrt(sizes + np.float32(1e-6)))[whole]
    quarter, twentieth = np.quantile(found, [0.25, 0.05])
    return float(quarter), float(twentieth)


def _window(plane: Plane) -> Plane:
    side = plane.shape[0] // 4
    return np.asarray(cv2.blur(plane, (side, side)), np.float32)
