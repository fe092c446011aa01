"""Draws a sheet of training pictures as the network sees them, for a person to check."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError
from trainer.core import draw_text
from trainer.data import LabelledArrays, Variations
from trainer.data.augment import augment

ROWS = 6  # pictures
COLUMNS = 8  # the input, then its variations
GAP = 4  # pixels
CELL = 128  # pixels, width and height of each picture


Vary = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]


def preview_sheet(
    arrays: LabelledArrays,
    labels: tuple[str, ...],
    variations: Variations,
    seed: int,
    vary: Vary | None = None,
) -> NDArray[np.uint8]:
    """The sheet, uint8, (height, width, 3), BGR: a row a picture, with its class on the left.

    The classes alternate. The first column is the preprocessed input. The others are its
    variations in one epoch each, by `vary` if given, else by `variations`.
    """
    vary = vary or partial(augment, variations=variations)
    rng = np.random.default_rng(seed)
    rows = _chosen(arrays, len(labels), rng)
    left = 110
    width = left + COLUMNS * (CELL + GAP)
    sheet = np.full((GAP + len(rows) * (CELL + GAP), width, 3), 255, np.uint8)
    for number, row in enumerate(rows):
        original = arrays.pictures[row : row + 1]
        shown = [original[0], *(vary(original, rng)[0] for _ in range(COLUMNS - 1))]
        top = GAP + number * (CELL + GAP)
        for column, picture in enumerate(shown):
            at = left + column * (CELL + GAP)
            sheet[top : top + CELL, at : at + CELL] = _cell(picture)
        label = labels[int(arrays.classes[row])]
        place = (6, top + CELL // 2)
        draw_text(sheet, label, place, size=13, colour=(40, 40, 40), width=left - 12)
    return sheet


def write_preview(
    path: Path,
    arrays: LabelledArrays,
    labels: tuple[str, ...],
    variations: Variations,
    seed: int,
    *,
    vary: Vary | None = None,
) -> None:
    """Writes the sheet as PNG. Raises EdgeInspectError when it cannot be written."""
    encoded, content = cv2.imencode(".png", preview_sheet(arrays, labels, variations, seed, vary))
    assert encoded
    try:
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise EdgeInspectError(
            f"{path}: cannot be written ({error.strerror}); check the disk and the folder's "
            "permissions"
        ) from error


def _chosen(arrays: LabelledArrays, count: int, rng: np.random.Generator) -> list[int]:
    by_class = [rng.permutation(np.flatnonzero(arrays.classes == c)) for c in range(count)]
    depth = max(map(len, by_class))
    alternating = [int(rows[at]) for at in range(depth) for rows in by_class if at < len(rows)]
    return alternating[:ROWS]


def _cell(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kind = cv2.COLOR_GRAY2BGR if picture.shape[2] == 1 else cv2.COLOR_RGB2BGR
    pixels = cv2.cvtColor(np.ascontiguousarray(picture), kind)
    return np.asarray(cv2.resize(pixels, (CELL, CELL), interpolation=cv2.INTER_AREA), np.uint8)
