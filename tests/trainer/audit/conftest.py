"""Generated parts with individual texture, and data sets of them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Draw = Callable[[Path, Pixels], Path]


def draw_part(seed: int, width: int = 200, height: int = 150) -> Pixels:
    """A camera picture of a part: the common plate with individual marks and texture."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width), 120, np.float32)
    for x in range(0, width, 40):  # the structure that all parts share
        picture[:, x : x + 3] = 190
    for sigma, strength in ((2.0, 60.0), (6.0, 120.0), (15.0, 200.0)):
        noise = rng.standard_normal((height, width)).astype(np.float32)
        picture += strength * cv2.GaussianBlur(noise, (0, 0), sigma)
    for _ in range(14):
        at = (int(rng.integers(10, width - 10)), int(rng.integers(10, height - 10)))
        size = (int(rng.integers(3, 14)), int(rng.integers(2, 8)))
        turn, grey = int(rng.integers(0, 180)), int(rng.integers(20, 235))
        cv2.ellipse(picture, at, size, turn, 0, 360, grey, -1, cv2.LINE_AA)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32)
    noisy = picture + rng.normal(0, 2, picture.shape)
    return np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def write(path: Path, pixels: Pixels, quality: int = 92) -> Path:
    """Writes a picture in the format of its suffix; `quality` is that of JPEG, 0 to 100."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), pixels, options)
    return path


@pytest.fixture
def parts_set(tmp_path: Path) -> Path:
    """A data set of twelve different parts in train and test, ok and scratch, without copies."""
    root = tmp_path / "plates"
    for number in range(12):
        side = "train" if number < 8 else "test"
        label = "ok" if number % 2 else "scratch"
        write(root / side / label / f"{chr(97 + number) * 3}.png", draw_part(number))
    return root
