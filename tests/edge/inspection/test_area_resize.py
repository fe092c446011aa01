"""Area averaging that is the same on every processor."""

import hashlib
import platform

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.inspection.area_resize import area_resize

pytestmark = pytest.mark.inference


def pattern(rows: int, columns: int) -> NDArray[np.uint8]:
    """Waves and speckles, made of whole numbers: the same on every processor."""
    y, x = np.mgrid[:rows, :columns]
    planes = [(x * x // 7 + y * 3) % 256, (x * 13 + y * y // 5) % 256, (x ^ y) * 37 % 256]
    return np.stack(planes, axis=-1).astype(np.uint8)


# The right column is what `cv2.resize(…, INTER_AREA)` gave on x86-64.
@pytest.mark.parametrize(
    ("rows", "columns", "width", "height", "digest"),
    [
        (360, 480, 128, 128, "02602be788a89061"),
        (200, 301, 192, 192, "9c2b9b4684d4673e"),
        (97, 64, 64, 16, "3b8c1d55454bc99c"),
        (64, 64, 16, 16, "75e366b4b102df32"),
    ],
)
def test_the_same_everywhere(rows: int, columns: int, width: int, height: int, digest: str) -> None:
    """The same bytes on every processor: those that x86-64 had when the models were tested."""
    picture = area_resize(pattern(rows, columns), width, height)
    assert picture.shape == (height, width, 3)
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == digest


@settings(max_examples=30, deadline=None)
@given(
    st.integers(8, 90),
    st.integers(8, 90),
    st.integers(0, 120),
    st.integers(0, 120),
    st.integers(0, 2**32 - 1),
)
def test_as_opencv_does(width: int, height: int, wider: int, higher: int, seed: int) -> None:
    """OpenCV's own result is the same on x86-64, and almost the same elsewhere."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height + higher, width + wider, 3), dtype=np.uint8)
    ours = area_resize(picture, width, height).astype(int)
    theirs = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    differ = np.abs(ours - theirs)
    assert differ.max() <= (0 if platform.machine() == "x86_64" else 1)
    assert np.mean(differ > 0) < 0.05
