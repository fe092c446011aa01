"""A contact sheet: small pictures in a grid, with text lines below each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.image import read_picture
from trainer.core import draw_text

TILE_SIDE, LINE_HEIGHT, GAP, COLUMNS = 180, 18, 8, 6
_PAPER, _INK, _MARK = (255, 255, 255), (40, 36, 28), (38, 38, 179)  # BGR


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture file and the text lines below it. `marked` draws a red frame."""

    path: Path
    lines: tuple[str, ...]
    marked: bool = False


def contact_sheet(tiles: Sequence[Tile]) -> bytes:
    """A PNG of at least one tile. Raises PictureError for a picture that cannot be read."""
    columns = min(COLUMNS, len(tiles))
    line_count = max(len(tile.lines) for tile in tiles)
    tile_height, tile_width = TILE_SIDE + line_count * LINE_HEIGHT + GAP, TILE_SIDE + GAP
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * tile_height + GAP, columns * tile_width + GAP, 3), _PAPER, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * tile_height + GAP, index % columns * tile_width + GAP
        small = _scaled_to_tile(read_picture(tile.path))
        y, x = top + (TILE_SIDE - small.shape[0]) // 2, left + (TILE_SIDE - small.shape[1]) // 2
        sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
        if tile.marked:
            cv2.rectangle(sheet, (left, top), (left + TILE_SIDE - 1, top + TILE_SIDE - 1), _MARK, 3)
        for number, line in enumerate(tile.lines):
            place = (left, top + TILE_SIDE + (number + 1) * LINE_HEIGHT - 4)
            draw_text(sheet, line, place, size=13, colour=_INK, width=TILE_SIDE)
    _, png = cv2.imencode(".png", sheet)
    return png.tobytes()


def _scaled_to_tile(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture scaled to fit SIDE × SIDE; its proportions stay."""
    scale = TILE_SIDE / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)
