"""Medians and ratios of rounds. Pure functions."""

import statistics
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The median. `values` is not empty."""
    return float(statistics.median(values))


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios of each round; both arguments have one value per round.

    The two values of one round met the same state of the machine.
    """
    return median([a / b for a, b in zip(over, under, strict=True)])
