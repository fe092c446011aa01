"""Percentiles of a few numbers. NumPy's would import its masked arrays first, which costs a start
thirteen milliseconds."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], q: float) -> float:
    """The `q`-th percentile (0 to 100) with linear interpolation. `values` is not empty."""
    return _of_ordered(sorted(values), q)


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """`{p50, p95, p99}` in the unit of `values`, which is not empty, rounded."""
    ordered = sorted(values)
    return {f"p{q}": round(_of_ordered(ordered, q), digits) for q in (50, 95, 99)}


def _of_ordered(ordered: Sequence[float], q: float) -> float:
    at = (len(ordered) - 1) * q / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
