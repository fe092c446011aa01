"""Percentiles, and the latest durations of each processing stage.

NumPy's percentile function imports masked arrays, which adds 13 ms to the daemon's start.
"""

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence

_KEPT = 1000  # durations per stage


def percentile(values: Sequence[float], q: float) -> float:
    """The `q`-th percentile (0 to 100), linearly interpolated. `values` must not be empty."""
    return _of_sorted(sorted(values), q)


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """`{p50, p95, p99}` in the unit of `values`, rounded. `values` must not be empty."""
    ordered = sorted(values)
    return {f"p{q}": round(_of_sorted(ordered, q), digits) for q in (50, 95, 99)}


def _of_sorted(ordered: Sequence[float], q: float) -> float:
    at = (len(ordered) - 1) * q / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


class Latencies:
    """The last 1,000 durations of each stage, in milliseconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {}

    def add(self, stages: Mapping[str, float]) -> None:
        """Adds one duration per stage, in milliseconds."""
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
