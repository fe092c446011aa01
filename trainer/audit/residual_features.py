"""Numbers of what is a picture's own: its thumbnail without what all pictures have in common.

The design explains most of a good part. A defect is left over, and its extremes tell.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import SharedStructure, half_size
from trainer.audit.fingerprint import Plane
from trainer.audit.fingerprint_store import FingerprintStore

WIDTHS = (0.0, 1.5, 3.0, 6.0)  # of blur, pixels of 48
TAILS = (0.001, 0.01, 0.05, 0.5, 0.95, 0.99, 0.999)


def residual_features(store: FingerprintStore, common: SharedStructure) -> NDArray[np.float32]:
    """A row of numbers for each row of the store: float32, (n, 54)."""
    axes = common.coarse.reshape(len(common.coarse), -1)
    if len(axes):
        axes = np.linalg.svd(axes, full_matrices=False)[2]
    rows = []
    for row in range(len(store)):
        own = half_size(store.plane(row))
        flat = own.ravel()
        rows.append(_numbers((flat - axes.T @ (axes @ flat)).reshape(own.shape)))
    return np.asarray(rows, np.float32)


def _numbers(own: Plane) -> list[float]:
    found: list[float] = []
    for width in WIDTHS:
        found += _tails(np.asarray(cv2.GaussianBlur(own, (0, 0), width)) if width else own)
    # A defect may be as long as the part: means of columns and of rows.
    return found + _tails(own.mean(axis=0)) + _tails(own.mean(axis=1))


def _tails(plane: NDArray[np.floating]) -> list[float]:
    spread = float(plane.std()) + 1e-3
    peaked = float(np.mean((plane / spread) ** 4))
    return [float(np.log(spread)), *np.quantile(plane, TAILS).tolist(), float(np.log1p(peaked))]
