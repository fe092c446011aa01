"""A contact sheet: small pictures in a grid, with two lines of text below each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.core.drawn_text import draw_text
from edge.core.errors import PictureError
from edge.core.image import read_picture
from edge.core.terms import Pixels

MOST = 60  # tiles of a sheet
_SIDE, _LINE, _GAP, _COLUMNS = 180, 16, 8, 6  # pixels, and tiles in a row
_FONT = 12  # pixels
_PAPER, _INK = (255, 255, 255), (40, 36, 28)  # BGR


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture file and the lines below it."""

    path: Path
    lines: tuple[str, str]


def contact_sheet(tiles: Sequence[Tile]) -> Pixels:
    """The sheet of at least one tile. A picture that cannot be read leaves its place grey."""
    columns = min(_COLUMNS, len(tiles))
    height, width = _SIDE + 2 * _LINE + _GAP, _SIDE + _GAP
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), _PAPER, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height + _GAP, index % columns * width + _GAP
        small = _small(tile.path)
        y, x = top + (_SIDE - small.shape[0]) // 2, left + (_SIDE - small.shape[1]) // 2
        sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
        for number, line in enumerate(tile.lines, start=1):
            place = (left, top + _SIDE + number * _LINE - 4)
            draw_text(sheet, line, place, size=_FONT, colour=_INK, width=_SIDE)
    return sheet


def _small(path: Path) -> Pixels:
    """The picture scaled into the tile; its proportions stay."""
    try:
        pixels = read_picture(path)
    except PictureError:
        return np.full((_SIDE, _SIDE, 3), 200, np.uint8)
    scale = _SIDE / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)
