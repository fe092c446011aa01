"""Features of a picture's residual: its thumbnail without the structure that all pictures share.

The shared structure explains most of a good part. A defect stays in the residual, as extremes.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import SharedStructure, half_size
from trainer.audit.features import mean_and_spread, quantiles
from trainer.audit.fingerprint import Plane
from trainer.audit.fingerprint_store import FingerprintStore

BLUR_WIDTHS = (0.0, 1.5, 3.0, 6.0)  # pixels of the coarse thumbnail, 48 a side
QUANTILES = (0.001, 0.01, 0.05, 0.5, 0.95, 0.99, 0.999)


def residual_features(store: FingerprintStore, common: SharedStructure) -> NDArray[np.float32]:
    """Features of each row of the store: float32, (n, 54)."""
    rows = [_features(common.without(half_size(store.plane(row)))) for row in range(len(store))]
    return np.asarray(rows, np.float32)


def _features(residual: Plane) -> list[float]:
    found: list[float] = []
    for width in BLUR_WIDTHS:
        blurred = cv2.GaussianBlur(residual, (0, 0), width) if width else residual
        found += _statistics(np.asarray(blurred, np.float32))
    # A defect may be as long as the part: means of columns and of rows show it.
    return found + _statistics(residual.mean(axis=0)) + _statistics(residual.mean(axis=1))


def _statistics(plane: NDArray[np.floating]) -> list[float]:
    spread = mean_and_spread(plane)[1] + 1e-3
    square = np.square(plane / np.float32(spread))
    peaked = mean_and_spread(square * square)[0]  # a power of 4 takes ten times as long
    return [float(np.log(spread)), *quantiles(plane, QUANTILES).tolist(), float(np.log1p(peaked))]
