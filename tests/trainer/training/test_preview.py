"""The preview sheet shows the pictures that the network sees."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.core.errors import EdgeInspectError
from trainer.data.arrays import LabelledArrays
from trainer.data.augment import NONE, Variations
from trainer.training.preview import CELL, COLUMNS, GAP, preview_sheet, write_preview


def _arrays(channels: int) -> LabelledArrays:
    pictures = np.random.default_rng(0).integers(0, 256, (9, 32, 32, channels)).astype(np.uint8)
    return LabelledArrays(pictures, np.array([0] * 7 + [1] * 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_without_variations_all_columns_are_the_input(channels: int) -> None:
    """Each row repeats its picture without variations, and varies it with them."""
    arrays = _arrays(channels)
    plain = preview_sheet(arrays, ("ok", "Riß"), NONE, 0)
    cells = plain[GAP : GAP + CELL, -COLUMNS * (CELL + GAP) :].reshape(CELL, COLUMNS, -1, 3)
    assert (cells[:, 0] == cells[:, 5]).all()
    assert (preview_sheet(arrays, ("ok", "Riß"), Variations(), 0) != plain).any()


def test_the_sheet_is_a_png_or_an_error(tmp_path: Path) -> None:
    """The sheet is a PNG; a write error names the file."""
    write_preview(tmp_path / "preview.png", _arrays(3), ("ok", "dent"), Variations(), 0)
    assert cv2.imread(str(tmp_path / "preview.png")) is not None
    with pytest.raises(EdgeInspectError, match="cannot be written"):
        write_preview(tmp_path / "none/preview.png", _arrays(3), ("ok", "dent"), Variations(), 0)
