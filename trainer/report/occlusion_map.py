"""Occlusion map: how much the score falls when a patch of the picture is covered."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 9  # patches a side
PATCHES_PER_SIDE = 5  # a patch is a fifth of the picture's side
MIN_FULL_COLOUR = 0.3  # log-odds: smaller changes are drawn pale

ScoreFunction = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def occlusion_map(picture: NDArray[np.uint8], judge: ScoreFunction) -> NDArray[np.float64]:
    """The evidence of each region for a defect, (9, 9), in log-odds above the median region.

    This is occlusion sensitivity (Zeiler and Fergus 2014): the score of the whole picture less the
    score with a patch of the picture's mean colour. It is positive where the network sees a
    defect, negative where it sees a good part. It needs only scores, so it works for every
    network. `picture` is uint8, (height, width, channels), preprocessed; `judge` gives
    P(defective), (n,), of pictures, uint8, (n, height, width, channels).
    """
    height, width, _channels = picture.shape
    covered = np.repeat(picture[None], GRID * GRID + 1, axis=0)
    paint = picture.reshape(-1, picture.shape[-1]).mean(axis=0).round().astype(np.uint8)
    for at in range(GRID * GRID):
        rows, columns = _span(at // GRID, height), _span(at % GRID, width)
        covered[at + 1, rows, columns] = paint
    odds = _log_odds(judge(covered))
    fall = (odds[0] - odds[1:]).reshape(GRID, GRID)
    # One-class models react to a patch at any place: the median removes that.
    return np.asarray(fall - np.median(fall), np.float64)


def overlaid(picture: NDArray[np.uint8], heat: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The picture in grey with the heat map: red is evidence for a defect, blue for a good part.

    `picture` is uint8, (height, width, 1 or 3), RGB; `heat` as from `occlusion_map`. Returns uint8,
    (height, width, 3), RGB.
    """
    grey = picture.mean(axis=-1)
    height, width = grey.shape
    scale = max(float(np.abs(heat).max()), MIN_FULL_COLOUR)
    smooth = cv2.resize(heat / scale, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = np.clip(smooth, -1, 1)
    colour = np.where(smooth[..., None] > 0, (214.0, 48.0, 20.0), (30.0, 100.0, 190.0))
    strength = 0.75 * np.abs(smooth[..., None]) ** 1.2
    mixed = grey[..., None] * (1 - strength) + colour * strength
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _span(at: int, length: int) -> slice:
    size = max(1, length // PATCHES_PER_SIDE)
    start = round(at * (length - size) / (GRID - 1))
    return slice(start, start + size)


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    # Clipping keeps saturated scores finite; their differences are invisible.
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), np.float64)
