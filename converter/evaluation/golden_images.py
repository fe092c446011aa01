"""Golden pictures: test pictures in the model file. Every box judges them and compares scores."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError
from edge.core.image import decode_picture
from edge.core.view import ViewConfig
from edge.inspection import GOLDEN, InputSpec, Thresholds, ViewCrop
from trainer.data import Sample

GOLDEN_PICTURES = 8
THRESHOLD_MARGIN = 0.05  # nearer to a threshold, a rounding difference could flip it
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """One golden picture: its name in the model file, its true label, its encoded bytes."""

    name: str
    label: str
    content: bytes


def choose_golden(
    scores: NDArray[np.float64],
    labels: Sequence[str],
    at: Thresholds,
    count: int = GOLDEN_PICTURES,
) -> list[int]:
    """The indices of at most `count` pictures: the classes in turn, spread over their scores.

    `scores` is P(defective), (n,), 0 to 1. Pictures within THRESHOLD_MARGIN of a threshold fill
    up the rest, the farthest first. The same arguments give the same indices.
    """
    distance = np.minimum(np.abs(scores - at.reject_at), np.abs(scores - at.review_from))
    clear = [place for place in range(len(scores)) if distance[place] > THRESHOLD_MARGIN]
    by_label: dict[str, list[int]] = {}
    for place in sorted(clear, key=lambda place: (scores[place], place)):
        by_label.setdefault(labels[place], []).append(place)
    quota = dict.fromkeys(sorted(by_label), 0)
    while sum(quota.values()) < min(count, len(clear)):
        for label in quota:
            if sum(quota.values()) < count and quota[label] < len(by_label[label]):
                quota[label] += 1
    chosen = [
        by_label[label][at_rank]
        for label, share in quota.items()
        for at_rank in _evenly_spread(len(by_label[label]), share)
    ]
    close = sorted(set(range(len(scores))) - set(clear), key=lambda p: (-distance[p], p))
    return sorted(chosen + close[: count - len(chosen)])


def _evenly_spread(n: int, share: int) -> list[int]:
    """`share` distinct ranks out of `n`, evenly from first to last. One rank is the middle."""
    return [n // 2] if share == 1 else [round(rank) for rank in np.linspace(0, n - 1, share)]


def golden_files(samples: Sequence[Sample], spec: InputSpec) -> list[GoldenFile]:
    """The chosen samples as files. Raises DatasetError when a picture no longer exists.

    A small file keeps the camera's bytes, so that the box also checks its decoder. A large one
    becomes a smaller one: a PNG in which the region of interest has the model's size, or, for a
    model that reduces JPEGs, a JPEG that it still reduces.
    """
    files: list[GoldenFile] = []
    for at, sample in enumerate(samples, start=1):
        try:
            content = sample.path.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"{sample.path}: cannot be read ({error.strerror}); put it back"
            ) from error
        suffix = sample.path.suffix.lower()
        if len(content) > MAX_BYTES:
            content, suffix = _shrunk(content, sample.path, spec)
        label = re.sub(r"[^\w.-]+", "_", sample.label)
        files.append(GoldenFile(f"{GOLDEN}{at:02d}-{label}{suffix}", sample.label, content))
    return files


def _shrunk(content: bytes, path: Path, spec: InputSpec) -> tuple[bytes, str]:
    """The content of the smaller file and its suffix."""
    pixels = decode_picture(content, str(path))
    _, _, w, h = spec.region or (0.0, 0.0, 1.0, 1.0)
    times = 2.0 * (spec.decoding.smallest_multiple or 1) if spec.decoding and spec.reduces else 1.0
    size = max(1, math.ceil(times * spec.width / w)), max(1, math.ceil(times * spec.height / h))
    if spec.view is not None:
        size = _size_before_view(pixels, spec.view, size)
    if size[0] < pixels.shape[1] and size[1] < pixels.shape[0]:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    suffix = ".jpg" if spec.reduces else ".png"
    _, data = cv2.imencode(suffix, pixels)
    return data.tobytes(), suffix


def _size_before_view(
    pixels: NDArray[np.uint8], view: ViewConfig, after: tuple[int, int]
) -> tuple[int, int]:
    """The least width and height of a picture whose view still has the size `after`."""
    (left,) = ViewCrop(view).cut(pixels).values()
    scale = max(after[0] / left.shape[1], after[1] / left.shape[0])
    height, width = pixels.shape[:2]
    return math.ceil(width * scale), math.ceil(height * scale)
