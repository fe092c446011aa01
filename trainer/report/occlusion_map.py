"""What a network looked at: how much its score falls when a patch of the picture is covered."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 9
WINDOW = 5  # a patch is a fifth of the picture's side
QUIET = 0.3  # changes of the log-odds below this are drawn as pale as they are

ScoreFunction = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def occlusion_map(picture: NDArray[np.uint8], judge: ScoreFunction) -> NDArray[np.float64]:
    """How much each region speaks for a defect, (9, 9), in log-odds, against the median region.

    Occlusion sensitivity (Zeiler and Fergus 2014): the score with the picture whole, less the
    score with a patch painted in the picture's mean colour. Positive where the network sees the
    defect, negative where it sees a good part. It asks the model only for scores, so it holds for
    every network. `picture` is uint8, (height, width, channels), as the model takes it; `judge`
    gives P(defective), (n,), of pictures uint8, (n, height, width, channels).
    """
    height, width, _channels = picture.shape
    covered = np.repeat(picture[None], GRID * GRID + 1, axis=0)
    paint = picture.reshape(-1, picture.shape[-1]).mean(axis=0).round().astype(np.uint8)
    for at in range(GRID * GRID):
        rows, columns = _span(at // GRID, height), _span(at % GRID, width)
        covered[at + 1, rows, columns] = paint
    odds = _log_odds(judge(covered))
    fall = (odds[0] - odds[1:]).reshape(GRID, GRID)
    # A patch is odd in itself, and one-class models see that wherever it lies.
    return np.asarray(fall - np.median(fall), np.float64)


def overlaid(picture: NDArray[np.uint8], heat: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The picture in grey under the heat: red speaks for a defect, blue for a good part.

    `picture` is uint8, (height, width, 1 or 3), RGB; `heat` as from `occlusion_map`. Returns uint8,
    (height, width, 3), RGB.
    """
    grey = picture.mean(axis=-1)
    height, width = grey.shape
    scale = max(float(np.abs(heat).max()), QUIET)
    smooth = cv2.resize(heat / scale, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = np.clip(smooth, -1, 1)
    colour = np.where(smooth[..., None] > 0, (214.0, 48.0, 20.0), (30.0, 100.0, 190.0))
    strength = 0.75 * np.abs(smooth[..., None]) ** 1.2
    mixed = grey[..., None] * (1 - strength) + colour * strength
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _span(at: int, length: int) -> slice:
    size = max(1, length // WINDOW)
    start = round(at * (length - size) / (GRID - 1))
    return slice(start, start + size)


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    # Saturated scores differ by nothing that is seen; 1e-6 keeps them finite.
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), np.float64)
