"""The pictures worth a look: escapes, false rejects, closest calls, with what the network saw."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.image import read_picture
from edge.inspection import InputSpec, Thresholds, apply_view, to_model_input
from trainer.evaluation.finalize import ScoredPicture
from trainer.report.occlusion_map import ScoreFunction, occlusion_map, overlaid

MOST = 8
SIDE = 176
QUALITY = 82


@dataclass(frozen=True, slots=True)
class GalleryCard:
    """A picture in the gallery; both images are data URIs."""

    row: ScoredPicture
    picture: str
    heat: str


@dataclass(frozen=True, slots=True)
class GalleryChoice:
    """Which pictures to show, worst first, and how many there are of each kind in all."""

    escapes: tuple[ScoredPicture, ...]
    false_rejects: tuple[ScoredPicture, ...]
    closest: tuple[ScoredPicture, ...]
    all_escapes: int
    all_false_rejects: int


def choose_pictures(test: Sequence[ScoredPicture], at: Thresholds, ok_label: str) -> GalleryChoice:
    """At most eight of each kind. Closest calls are not wrong, but nearest to a line."""
    escapes = [row for row in test if row.label != ok_label and row.score < at.review_from]
    rejects = [row for row in test if row.label == ok_label and row.score >= at.reject_at]
    wrong = {row.file for row in (*escapes, *rejects)}
    lines = [_log_odds(at.reject_at), _log_odds(at.review_from)]

    def margin(row: ScoredPicture) -> tuple[float, str]:
        return min(abs(_log_odds(row.score) - line) for line in lines), row.file

    closest = sorted((row for row in test if row.file not in wrong), key=margin)
    return GalleryChoice(
        escapes=tuple(sorted(escapes, key=lambda row: (row.score, row.file))[:MOST]),
        false_rejects=tuple(sorted(rejects, key=lambda row: (-row.score, row.file))[:MOST]),
        closest=tuple(closest[:MOST]),
        all_escapes=len(escapes),
        all_false_rejects=len(rejects),
    )


def cards(
    rows: Sequence[ScoredPicture], root: Path, spec: InputSpec, judge: ScoreFunction
) -> list[GalleryCard]:
    """The pictures of `rows` under the data set's `root`; those that are gone are left out.

    `judge` gives P(defective), (n,), of pictures as the model takes them.
    """
    found = []
    for row in rows:
        try:
            pixels = apply_view(read_picture(root / row.file), spec)
        except PictureError:
            continue
        seen = to_model_input(pixels, spec)
        heat = overlaid(seen, occlusion_map(seen, judge))
        found.append(GalleryCard(row, _uri(pixels), _uri(_in_shape(heat[..., ::-1], pixels, spec))))
    return found


def _in_shape(
    heat: NDArray[np.uint8], picture: NDArray[np.uint8], spec: InputSpec
) -> NDArray[np.uint8]:
    """The heat map as large as the gallery shows it, in the shape of what the model was shown.

    The model takes every picture in one shape; a stretched picture hides where the place lies.
    """
    _x, _y, w, h = spec.region or (0.0, 0.0, 1.0, 1.0)
    width, height = picture.shape[1] * w, picture.shape[0] * h
    scale = SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _uri(pixels: NDArray[np.uint8]) -> str:
    """A JPEG of at most 176 pixels a side; `pixels` is uint8, (h, w, 3), BGR."""
    scale = SIDE / max(pixels.shape[:2])
    if scale < 1:
        size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _log_odds(score: float) -> float:
    p = min(max(score, 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))
