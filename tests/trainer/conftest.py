"""Tiny data sets for the tests, and skips for missing libraries."""

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

Draw = Callable[..., Path]


def _require(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        reason = f"{module} is not installed; run: pip install '.[train]'"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (under CI nothing may be skipped)")
        pytest.skip(reason)


@pytest.fixture
def require_tensorflow() -> None:
    """Skips without TensorFlow; under CI fails."""
    _require("tensorflow")


@pytest.fixture
def require_train() -> None:
    """Skips without the small libraries of the extra `train`; under CI fails."""
    for module in ("scipy", "rich"):
        _require(module)


@pytest.fixture
def require_elpv() -> None:
    """Skips without the solar cells; under CI fails."""
    _require("elpv_dataset")


def draw_picture(path: Path, seed: int, *, defective: bool) -> None:
    """Writes a grey 24×24 PNG with noise; a defect is a bright square at a random place."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(40, 90, (24, 24, 3)).astype(np.uint8)
    if defective:
        y, x = rng.integers(2, 14, 2)
        pixels[y : y + 8, x : x + 8] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_manifest(root: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Writes manifest.csv from rows of (file, label, group)."""
    lines = ["file,label,group", *(",".join(row) for row in rows)]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def draw_dataset(tmp_path: Path) -> Draw:
    """A function that draws a data set, flat or split, of `count` pictures a class and set."""

    def draw(
        count: int = 8, *, split: bool = True, labels: tuple[str, ...] = ("ok", "scratch")
    ) -> Path:
        root = tmp_path / "tiles"
        for set_name in ("train", "test") if split else ("",):
            for number, label in enumerate(labels):
                for at in range(count):
                    seed = at + 1000 * number + 100_000 * (set_name == "test")
                    path = root / set_name / label / f"{label}{at:03}.png"
                    draw_picture(path, seed, defective=label != "ok")
        return root

    return draw
