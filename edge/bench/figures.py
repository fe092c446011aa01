"""From rounds to figures: medians, percentiles, ratios. Pure."""

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], q: float) -> float:
    """The `q`-th percentile (0 to 100) with linear interpolation. `values` is not empty."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * q / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def spread(values: Sequence[float]) -> dict[str, float]:
    """`{p50, p95, p99}` in the unit of `values`, which is not empty."""
    return {f"p{q}": round(percentile(values, q), 4) for q in (50, 95, 99)}


def median(values: Sequence[float]) -> float:
    """The middle one. `values` is not empty."""
    return float(statistics.median(values))


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios of each round, since the two of one round shared the machine's mood.
    Both have one value a round."""
    return median([a / b for a, b in zip(over, under, strict=True)])
