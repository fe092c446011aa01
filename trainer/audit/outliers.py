"""Finds odd pictures: too small, an unusual size or shape, grey among colour."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.audit.scan import ScannedPicture

MIN_SIDE = 16  # pixels: a smaller picture shows no defect; it is mostly an icon or a broken export
MIN_TOLERANCE_RATIO = 1.6  # to the median: sizes within it are never odd


def find_outliers(scanned: Sequence[ScannedPicture]) -> list[dict[str, Any]]:
    """Odd pictures as `file`, `kind` (tiny, odd size, odd shape, odd mode) and `reason`."""
    if not scanned:
        return []
    sizes = np.array([(one.width, one.height) for one in scanned], np.float64)
    area = np.sqrt(sizes.prod(axis=1))
    shape = np.log(sizes[:, 0] / sizes[:, 1])
    # Parts may lie either way round: a shape and the same shape turned by 90° are both usual.
    slim = np.abs(shape)
    usual_area, usual_slim = float(np.median(area)), float(np.median(slim))
    area_tolerance, slim_tolerance = _tolerance(np.log(area)), _tolerance(slim)
    modes = Counter(one.mode for one in scanned)
    usual_mode = modes.most_common(1)[0][0]
    found = []

    def add(one: ScannedPicture, kind: str, reason: str) -> None:
        found.append({"file": one.item.file, "kind": kind, "reason": reason})

    for at, one in enumerate(scanned):
        size = f"{one.width}×{one.height} pixels"
        if min(one.width, one.height) < MIN_SIDE:
            add(one, "tiny", size)
        elif abs(np.log(area[at] / usual_area)) > area_tolerance:
            add(one, "odd size", f"{size}; usual is a side of about {usual_area:.0f}")
        elif abs(slim[at] - usual_slim) > slim_tolerance:
            add(one, "odd shape", f"{size}; usual is about {np.exp(usual_slim):.2f} : 1")
        if one.mode != usual_mode and modes[one.mode] < 0.5 * len(scanned):
            add(one, "odd mode", f"{one.mode}; {modes[usual_mode]} pictures are {usual_mode}")
    return found


def _tolerance(logs: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """The usual distance from the median: 5 spreads by the median deviation, at least log 1.6."""
    spread = 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
    return max(float(np.log(MIN_TOLERANCE_RATIO)), 5 * spread)
