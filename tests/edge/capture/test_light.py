"""Brightness, against the plain formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.quality import brightness


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    lowest=st.integers(0, 255),
    span=st.integers(1, 256),
)
def test_brightness_is_that_of_the_mean_of_three_channels(
    seed: int, height: int, width: int, lowest: int, span: int
) -> None:
    """0.5 % of the grey levels of the sampled pixels lie below `low`, 0.5 % above `high`."""
    values = np.random.default_rng(seed).integers(0, span, (height, width, 3)) + lowest
    pixels = np.clip(values, 0, 255).astype(np.uint8)
    step = max(1, min(8, min(height, width) // 32))
    grey = sorted(int(sum(map(int, p))) // 3 for row in pixels[::step, ::step] for p in row)
    found = brightness(pixels)
    assert sum(level < found.low for level in grey) <= 0.005 * len(grey)
    assert sum(level <= found.low for level in grey) > 0.005 * len(grey)
    assert sum(level <= found.high for level in grey) >= 0.995 * len(grey)
    assert {found.low, found.high} <= set(grey)
    assert found.contrast == found.high - found.low
