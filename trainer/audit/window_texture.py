"""Compares the texture of two aligned pictures in 64 windows.

Each window is correlated by itself, in three band-passes. So light and gamma fall out.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import Plane

Planes = tuple[Plane, Plane]

WINDOWS_PER_SIDE = 8
# Blur widths between which three band-passes lie, pixels. Compression noise is finer, shading is
# coarser.
BLUR_WIDTHS = (0.7, 1.4, 2.8, 5.6)
ROUNDING_DEVIATION = 0.3  # grey levels, of a uniform place after rounding to 8 bits
RINGING_SHARE = 0.05  # of the picture's detail: compression rings up to this beside an edge
MIN_WINDOW_SHARE = 0.7  # of a window that both pictures cover
LOW_QUANTILE = 0.1
SHIFTS = ((0, 5), (5, 0), (4, 4), (4, -4))  # pixels, about 5 in four directions

# The limits of certainty (docs/audit.md has the figures). The texture of planted, aligned copies
# reaches 0.5 and more, also after compression to a third; that of different tiles and solar cells
# stays at 0.33 and less. Drawings of a few straight lines reach 0.89 on others of their kind, but
# with few key points and much empty ground. So less content requires more agreement.
MIN_TEXTURE = 0.42  # with much content
MIN_TEXTURE_SPARSE = 0.95  # with hardly any content
FEW_POINTS, MANY_POINTS = 6, 24
MIN_WINDOWS = 8
SPARSE_WINDOWS, DENSE_WINDOWS = 32, 56
DENSE_CREDIT = 0.7  # of the credit for many key points: a design may be dense too
MIN_SHARPNESS = 0.1


@dataclass(frozen=True, slots=True)
class PixelMatch:
    """How well the texture of two pictures agrees.

    - `texture`: the lower tenth of the window correlations, -1 to 1, mean over three bands.
    - `sharpness`: the share of it, up to 1, that a shift by 5 pixels destroys. The direction that
      destroys least counts: lines lose nothing along themselves.
    - `windows`: the number of windows, of 64, with content.
    """

    texture: float = 0.0
    sharpness: float = 0.0
    windows: float = 0.0

    def certain(self, support: int) -> bool:
        """Whether both must show one part; `support` is the number of coinciding key points."""
        if self.windows < MIN_WINDOWS or self.sharpness < MIN_SHARPNESS:
            return False
        points = (support - FEW_POINTS) / (MANY_POINTS - FEW_POINTS)
        density = (self.windows - SPARSE_WINDOWS) / (DENSE_WINDOWS - SPARSE_WINDOWS)
        content = min(1.0, max(0.0, points, DENSE_CREDIT * min(1.0, density)))
        min_texture = MIN_TEXTURE_SPARSE + (MIN_TEXTURE - MIN_TEXTURE_SPARSE) * content
        return self.texture >= min_texture


NO_MATCH = PixelMatch()


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of `side` pixels: the share that both pictures cover, and where it is enough."""

    side: int
    share: Plane
    whole: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Band:
    """Two pictures compared in one band.

    - `size`: the product of both spreads, of each whole window.
    - `counted`: the windows with content; `correlations` are theirs.
    """

    one: Plane
    other: Plane
    size: Plane
    counted: NDArray[np.bool_]
    correlations: Plane


def _window_shares(mask: Plane) -> _Windows:
    side = max(12, round(np.sqrt(mask.size) / WINDOWS_PER_SIDE))
    share = _windows(mask, side)
    return _Windows(side, share, share > MIN_WINDOW_SHARE)


def compare_windows(first: Plane, aligned: Plane, mask: Plane) -> PixelMatch:
    """Compares two aligned pictures, float32, where `mask` is 1."""
    windows = _window_shares(mask)
    if not windows.whole.any():
        return NO_MATCH
    lows, counts, bands = [], [], []
    planes = first * mask, aligned * mask
    for fine, coarse in pairwise(_smoothed(planes, mask, width) for width in BLUR_WIDTHS):
        band = _compare_band(_band_pass(fine, coarse, mask), windows)
        if band is None:
            return NO_MATCH
        lows.append(float(np.quantile(band.correlations, LOW_QUANTILE)))
        counts.append(np.count_nonzero(band.counted) / 4)  # windows overlap by half, both ways
        bands.append(band)
    texture = float(np.mean(lows))
    # The coarsest band is about as wide as the shift, so it is left out of the sharpness.
    sharpness = (
        min(_sharpness(band, windows) for band in bands[:2]) if texture >= MIN_TEXTURE else 0.0
    )
    return PixelMatch(texture, sharpness, float(max(counts)))


def low_correlation(first: Plane, aligned: Plane, mask: Plane, band: tuple[float, float]) -> float:
    """The lower tenth of the windows in one band, -1 to 1; 1 with too little content to judge."""
    windows = _window_shares(mask)
    if not windows.whole.any():
        return 0.0
    planes = first * mask, aligned * mask
    fine, coarse = (_smoothed(planes, mask, width) for width in band)
    compared = _compare_band(_band_pass(fine, coarse, mask), windows)
    return 1.0 if compared is None else float(np.quantile(compared.correlations, LOW_QUANTILE))


def _compare_band(planes: Planes, windows: _Windows) -> _Band | None:
    """The correlations of the windows with content; None when no window has any."""
    one, other = planes
    side, share, whole = windows.side, windows.share, windows.whole
    energies = [_windows(band * band, side)[whole] / share[whole] for band in (one, other)]
    # Only windows count where either picture exceeds rounding and ringing.
    floors = [
        max(ROUNDING_DEVIATION**2, RINGING_SHARE**2 * float(energy.mean())) for energy in energies
    ]
    above = [np.maximum(energy, floor) for energy, floor in zip(energies, floors)]
    counted = (above[0] > floors[0]) | (above[1] > floors[1])
    if not counted.any():
        return None
    size = share[whole] * np.sqrt(above[0] * above[1])
    return _Band(one, other, size, counted, (_windows(one * other, side)[whole] / size)[counted])


def _sharpness(band: _Band, windows: _Windows) -> float:
    """The share of the agreement that the least destructive shift destroys."""
    moved = []
    for step in SHIFTS:
        shifted = _windows(band.one * np.roll(band.other, step, (0, 1)), windows.side)
        moved.append(float((shifted[windows.whole] / band.size)[band.counted].mean()))
    return float(1 - max(moved) / max(0.01, float(band.correlations.mean())))


def _smoothed(planes: Planes, mask: Plane, width: float) -> Planes:
    """Both planes, which are 0 outside the mask, blurred inside it: float32."""
    weight = np.asarray(cv2.GaussianBlur(mask, (0, 0), width), np.float32) + np.float32(1e-3)
    one, other = (
        np.asarray(cv2.GaussianBlur(plane, (0, 0), width) / weight, np.float32) for plane in planes
    )
    return one, other


def _band_pass(fine: Planes, coarse: Planes, mask: Plane) -> Planes:
    """The difference of two blurs of each plane, inside the mask."""
    return (fine[0] - coarse[0]) * mask, (fine[1] - coarse[1]) * mask


def _windows(plane: Plane, side: int) -> Plane:
    """Means over windows of `side` pixels, at steps of half a window."""
    means = cv2.blur(plane, (side, side), borderType=cv2.BORDER_CONSTANT)
    half = side // 2
    return np.asarray(means[half::half, half::half], np.float32)
