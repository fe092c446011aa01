"""Pictures that are not like the others: too small, another size or shape, grey among colour."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.audit.scan import ScannedPicture

MIN_SIDE = 16  # pixels: below this a side shows no defect, and is mostly an icon or a broken export
MAX_RATIO = 1.6  # times the median


def find_outliers(scanned: Sequence[ScannedPicture]) -> list[dict[str, Any]]:
    """`file`, `kind` ("tiny", "odd size", "odd shape", "odd mode") and `reason` of each."""
    if not scanned:
        return []
    sizes = np.array([(one.width, one.height) for one in scanned], np.float64)
    area = np.sqrt(sizes.prod(axis=1))
    shape = np.log(sizes[:, 0] / sizes[:, 1])
    # Parts lie either way round on some lines: lying and standing of one shape are both usual.
    slim = np.abs(shape)
    usual_area, usual_slim = float(np.median(area)), float(np.median(slim))
    area_reach, slim_reach = _reach(np.log(area)), _reach(slim)
    modes = Counter(one.mode for one in scanned)
    usual_mode = modes.most_common(1)[0][0]
    found = []

    def add(one: ScannedPicture, kind: str, reason: str) -> None:
        found.append({"file": one.item.file, "kind": kind, "reason": reason})

    for at, one in enumerate(scanned):
        size = f"{one.width}×{one.height} pixels"
        if min(one.width, one.height) < MIN_SIDE:
            add(one, "tiny", size)
        elif abs(np.log(area[at] / usual_area)) > area_reach:
            add(one, "odd size", f"{size}; usual is a side of about {usual_area:.0f}")
        elif abs(slim[at] - usual_slim) > slim_reach:
            add(one, "odd shape", f"{size}; usual is about {np.exp(usual_slim):.2f} : 1")
        if one.mode != usual_mode and modes[one.mode] < 0.5 * len(scanned):
            add(one, "odd mode", f"{one.mode}; {modes[usual_mode]} pictures are {usual_mode}")
    return found


def _reach(logs: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """How far from the median is still usual: 5 spreads by the median deviation, 1.6 times at
    least."""
    spread = 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
    return max(float(np.log(MAX_RATIO)), 5 * spread)
