"""Quantiles of the beta distribution: the ends of a binomial interval.

SciPy has them, but it is no dependency of the daemon. tests/edge/plant/test_beta_quantile.py
compares both.
"""

import math

_TINY = 1e-300
_STEPS = 10_000  # the continued fraction needs about the square root of the larger parameter
_PRECISION = 1e-15


def beta_quantile(q: float, a: float, b: float) -> float:
    """The x, 0 to 1, below which a share `q` of Beta(a, b) lies. `a` and `b` are above 0.

    By bisection until neighbouring floats; `q` is between 0 and 1.
    """
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if _below(middle, a, b) < q:
            low = middle
        else:
            high = middle
        if high - low <= _PRECISION * high:
            break
    return high


def _below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x > (a + 1) / (a + b + 2):  # there the other fraction converges quickly
        return 1.0 - _below(1.0 - x, b, a)
    if x <= 0:
        return 0.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22, evaluated forwards by Lentz's method."""
    numerator, denominator = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    found = denominator
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            denominator = 1.0 / _not_zero(1.0 + step * denominator)
            numerator = _not_zero(1.0 + step / numerator)
            found *= denominator * numerator
        if abs(denominator * numerator - 1.0) < _PRECISION:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
