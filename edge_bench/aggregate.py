"""From rounds to figures: medians and ratios. Pure."""

import statistics
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The middle one. `values` is not empty."""
    return float(statistics.median(values))


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios of each round, since the two of one round shared the machine's mood.
    Both have one value a round."""
    return median([a / b for a, b in zip(over, under, strict=True)])
