"""Percentiles of a few numbers, and the latest durations of each stage of a frame.

NumPy's percentiles would import its masked arrays, which costs the daemon's start 13 ms.
"""

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence

_KEPT = 1000  # durations of each stage


def percentile(values: Sequence[float], q: float) -> float:
    """The `q`-th percentile (0 to 100) with linear interpolation. `values` is not empty."""
    return _of_sorted(sorted(values), q)


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """`{p50, p95, p99}` in the unit of `values`, which is not empty, rounded."""
    ordered = sorted(values)
    return {f"p{q}": round(_of_sorted(ordered, q), digits) for q in (50, 95, 99)}


def _of_sorted(ordered: Sequence[float], q: float) -> float:
    at = (len(ordered) - 1) * q / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


class Latencies:
    """The last thousand durations of each stage, in milliseconds. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {}

    def add(self, stage: str, ms: float) -> None:
        """Adds one duration of one stage."""
        self.note({stage: ms})

    def note(self, stages: Mapping[str, float]) -> None:
        """Adds one duration of each stage."""
        with self._lock:
            for stage, ms in stages.items():
                kept = self._stages.get(stage)
                if kept is None:
                    kept = self._stages[stage] = deque(maxlen=_KEPT)
                kept.append(ms)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """`{stage: {p50, p95, p99}}` in milliseconds."""
        with self._lock:
            copies = {stage: list(values) for stage, values in self._stages.items()}
        return {stage: spread(values, 3) for stage, values in copies.items()}
