"""A contact sheet: small pictures in a grid, each with a few words below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.image import read_picture

SIDE, LINE, GAP, COLUMNS = 180, 18, 8, 6
_PAPER, _INK, _MARK = (255, 255, 255), (40, 36, 28), (38, 38, 179)  # BGR


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture file and the lines below it; marked ones get a red frame."""

    path: Path
    lines: tuple[str, ...]
    marked: bool = False


def contact_sheet(tiles: Sequence[Tile]) -> bytes:
    """A PNG of the tiles, at least one. Raises PictureError for one that cannot be read."""
    columns = min(COLUMNS, len(tiles))
    words = max(len(tile.lines) for tile in tiles)
    high, wide = SIDE + words * LINE + GAP, SIDE + GAP
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * high + GAP, columns * wide + GAP, 3), _PAPER, np.uint8)
    for at, tile in enumerate(tiles):
        top, left = at // columns * high + GAP, at % columns * wide + GAP
        small = _fitted(read_picture(tile.path))
        y, x = top + (SIDE - small.shape[0]) // 2, left + (SIDE - small.shape[1]) // 2
        sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
        if tile.marked:
            cv2.rectangle(sheet, (left, top), (left + SIDE - 1, top + SIDE - 1), _MARK, 3)
        for number, line in enumerate(tile.lines):
            place = (left, top + SIDE + (number + 1) * LINE - 4)
            words_there = line.encode("ascii", "replace").decode()
            cv2.putText(
                sheet, words_there, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA
            )
    _, png = cv2.imencode(".png", sheet)
    return png.tobytes()


def _fitted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Within SIDE by SIDE, in its own proportions."""
    scale = SIDE / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)
