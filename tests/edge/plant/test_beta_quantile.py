"""Beta quantiles equal SciPy's, which the daemon does not have."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from edge.plant.beta_quantile import beta_quantile

SHAPES = st.floats(0.05, 1e5)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.sampled_from((0.005, 0.025, 0.5, 0.975, 0.995)), SHAPES, SHAPES)
def test_equals_scipy(q: float, a: float, b: float) -> None:
    assert beta_quantile(q, a, b) == pytest.approx(float(beta.ppf(q, a, b)), rel=1e-6, abs=1e-12)


def test_many_looks_and_no_case() -> None:
    """1 - 0.025^(1/n), the limit with 0 cases in n."""
    assert beta_quantile(0.975, 1, 1_000_000) == pytest.approx(1 - 0.025**1e-6, rel=1e-9)
