"""Percentiles, against NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.percentiles import percentile, spread

_VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(_VALUES, st.floats(0, 100))
def test_percentiles_are_those_of_numpy(values: list[float], q: float) -> None:
    """A percentile is interpolated as NumPy does it by default."""
    assert percentile(values, q) == pytest.approx(float(np.percentile(values, q)))


def test_spread_names_three_percentiles() -> None:
    """`spread` is p50, p95 and p99."""
    assert spread(list(range(101))) == {"p50": 50, "p95": 95, "p99": 99}
