"""Text on pictures: every script is drawn, and no text leaves its place."""

import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.drawn_text import draw_text, text_width

ROOT = Path(__file__).parents[3]


def drawn(text: str, width: int | None = None) -> NDArray[np.uint8]:
    """A white canvas with the text in black."""
    canvas = np.full((40, 400, 3), 255, np.uint8)
    draw_text(canvas, text, (5, 25), size=16, colour=(0, 0, 0), width=width)
    return canvas


@pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="OpenCV 4 draws ASCII only")
def test_hangul_is_drawn() -> None:
    """Each Hangul text has its own shape: it is neither `?` nor one box for all."""
    texts = ["긁힘", "찍힘", "양품", "불량", "??", "□□", "划痕", "é"]
    pictures = [drawn(text) for text in texts]
    for at, one in enumerate(pictures):
        assert (one < 128).any(), texts[at]
        assert all((one != other).any() for other in pictures[at + 1 :])


def test_hangul_in_pieces_is_joined() -> None:
    """A file name of macOS (NFD) looks like the same name of Linux (NFC)."""
    name = "긁힘_01.png"
    assert (drawn(unicodedata.normalize("NFD", name)) == drawn(name)).all()


@pytest.mark.parametrize("text", ["긁힘" * 40, "scratch" * 40, "l" * 200])
def test_long_text_is_cut(text: str) -> None:
    """A text longer than its room ends before the room does."""
    columns = np.flatnonzero((drawn(text, width=120) < 200).any(axis=(0, 2)))
    assert 60 < columns.max() <= 5 + 120 + 1
    assert text_width(text, 16) > 400


@pytest.mark.parametrize("text", ["", "a\nb", "a\x1b[31mb", "a\ud800b", "a\u202eb", "\x00"])
def test_text_from_outside_is_one_line(text: str) -> None:
    """Control characters and lone surrogates of file names raise nothing and start no line."""
    rows = np.flatnonzero((drawn(text) < 200).any(axis=(1, 2)))
    assert not len(rows) or rows.max() < 36


def test_no_other_module_draws_text() -> None:
    """Only drawn_text.py calls OpenCV's putText, so no picture shows `?` for Hangul."""
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("edge", "edge_bench", "converter", "trainer", "scripts", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "putText" in path.read_text(encoding="utf-8")
    ]
    assert found == ["edge/core/drawn_text.py"]
