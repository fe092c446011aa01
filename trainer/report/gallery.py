"""The gallery: escapes, false rejects and closest calls, each with a heat map."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.image import open_picture
from edge.inspection import InputSpec, Thresholds, apply_view, model_input
from trainer.data.folder_layout import picture_path
from trainer.evaluation.finalize import ScoredPicture
from trainer.report.occlusion_map import ScoreFunction, occlusion_map, overlaid

MAX_PICTURES = 8  # of each kind
SIDE = 176  # pixels, the longer side of a picture
JPEG_QUALITY = 82


@dataclass(frozen=True, slots=True)
class GalleryCard:
    """A picture in the gallery; both images are data URIs."""

    row: ScoredPicture
    picture: str
    heat: str


@dataclass(frozen=True, slots=True)
class GalleryChoice:
    """The pictures to show, worst first, and the total number of each kind."""

    escapes: tuple[ScoredPicture, ...]
    false_rejects: tuple[ScoredPicture, ...]
    closest: tuple[ScoredPicture, ...]
    all_escapes: int
    all_false_rejects: int


def choose_pictures(test: Sequence[ScoredPicture], at: Thresholds, ok_label: str) -> GalleryChoice:
    """Chooses at most eight of each kind. Closest calls are right, but nearest to a threshold."""
    escapes = [row for row in test if row.label != ok_label and row.score < at.review_from]
    rejects = [row for row in test if row.label == ok_label and row.score >= at.reject_at]
    wrong = {row.file for row in (*escapes, *rejects)}
    lines = [_log_odds(at.reject_at), _log_odds(at.review_from)]

    def margin(row: ScoredPicture) -> tuple[float, str]:
        return min(abs(_log_odds(row.score) - line) for line in lines), row.file

    closest = sorted((row for row in test if row.file not in wrong), key=margin)
    return GalleryChoice(
        escapes=tuple(sorted(escapes, key=lambda row: (row.score, row.file))[:MAX_PICTURES]),
        false_rejects=tuple(sorted(rejects, key=lambda row: (-row.score, row.file))[:MAX_PICTURES]),
        closest=tuple(closest[:MAX_PICTURES]),
        all_escapes=len(escapes),
        all_false_rejects=len(rejects),
    )


def cards(
    rows: Sequence[ScoredPicture], root: Path, spec: InputSpec, judge: ScoreFunction
) -> list[GalleryCard]:
    """The cards of `rows`, read under the data set's `root`, without missing pictures.

    `judge` gives P(defective), (n,), of preprocessed pictures.
    """
    found = []
    for row in rows:
        try:
            picture = open_picture(picture_path(root, row.file))
            pixels, judged = apply_view(picture.decode()[0], spec), model_input(picture, spec)
        except PictureError:
            continue
        heat = overlaid(judged, occlusion_map(judged, judge))
        unstretched = _unstretched(heat[..., ::-1], pixels, spec)
        found.append(GalleryCard(row, _uri(pixels), _uri(unstretched)))
    return found


def _unstretched(
    heat: NDArray[np.uint8], picture: NDArray[np.uint8], spec: InputSpec
) -> NDArray[np.uint8]:
    """The heat map at the size of the gallery, with the aspect ratio of the region.

    The model stretches every picture to one shape, which hides where a place lies.
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
    encoded, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert encoded
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _log_odds(score: float) -> float:
    p = min(max(score, 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))
