"""Draws text of any script on a picture: labels and file names may be Hangul.

OpenCV 5 has the glyphs inside, Hangul and Chinese among them, so no font is shipped or installed.
OpenCV 4 draws ASCII only; other characters become `?` there.
"""

import unicodedata
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]  # BGR, 0 to 255

_HERSHEY = cv2.FONT_HERSHEY_SIMPLEX
_HERSHEY_PIXELS = 26.0  # height of its letters at scale 1


def draw_text(
    canvas: NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    *,
    size: int,
    colour: Colour,
    width: int | None = None,
) -> None:
    """Draws one line of text on a canvas, uint8, (height, width, 3), BGR.

    - `at`: x and y of the left end of the base line, pixels.
    - `size`: height of the font, pixels.
    - `width`: the room in pixels; a longer text is cut, and ends in "…".
    """
    line = _fitted(_clean(text), size, width)
    if _draws_every_script():
        cv2.putText(canvas, line, at, colour, _font(), size)
    else:
        cv2.putText(canvas, line, at, _HERSHEY, size / _HERSHEY_PIXELS, colour, 1, cv2.LINE_AA)


def text_width(text: str, size: int) -> int:
    """The width of a drawn line, pixels."""
    if _draws_every_script():
        x, _, width, _ = cv2.getTextSize((0, 0), _clean(text), (0, 0), _font(), size)
        return int(x + width)
    (width, _), _ = cv2.getTextSize(_clean(text), _HERSHEY, size / _HERSHEY_PIXELS, 1)
    return int(width)


@cache
def _draws_every_script() -> bool:
    return hasattr(cv2, "FontFace")


@cache
def _font() -> "cv2.FontFace":
    return cv2.FontFace("sans")


def _clean(text: str) -> str:
    """One printable line. File names of macOS hold Hangul in pieces, which NFC joins."""
    line = unicodedata.normalize("NFC", text)
    line = "".join(c if c.isprintable() else "?" for c in line)  # also lone surrogates
    return line if _draws_every_script() else line.encode("ascii", "replace").decode()


def _fitted(line: str, size: int, width: int | None) -> str:
    """The line, or as much of it as has room."""
    if width is None or text_width(line, size) <= width:
        return line
    end = "…" if _draws_every_script() else "..."
    while line and text_width(line + end, size) > width:
        line = line[:-1]
    return line + end
