"""Reads every picture once and keeps a few kilobytes of each."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.image import decode_picture, read_header
from trainer.audit.compared_picture import ComparedPicture, compared_picture
from trainer.audit.features import Features, mean_and_spread
from trainer.audit.fingerprint import EMPTY_FINGERPRINT, Fingerprint, Grey, fingerprint
from trainer.audit.job_processes import JobProcesses, Progress

Pixels = NDArray[np.uint8]

LIGHTING_SIDE = 256  # focus is measured at one scale: a larger picture would look blurred
MIN_COLOUR_DIFFERENCE = 8  # grey levels between channels, above JPEG's colour rounding


@dataclass(frozen=True, slots=True)
class AuditItem:
    """A picture to read.

    - `file`: the posix path relative to the root.
    - `side`: "train", "validation", "test", or "" in a set that is not split.
    - `group`: the manifest's group; None without a manifest.
    """

    path: Path
    file: str
    label: str
    side: str
    group: str | None


@dataclass(frozen=True, slots=True)
class Lighting:
    """Brightness (mean) and contrast (standard deviation), 0 to 255, and focus.

    Focus is the variance of the Laplacian of the picture at 256 px, divided by the variance of
    the picture. So it does not depend on the light.
    """

    brightness: float
    contrast: float
    focus: float


@dataclass(frozen=True, slots=True)
class ScannedPicture:
    """The data kept of a readable picture. `features`: float32, (d,)."""

    item: AuditItem
    width: int
    height: int
    mode: str
    size: int
    file_hash: bytes
    pixel_hash: bytes
    lighting: Lighting
    fingerprint: Fingerprint
    features: NDArray[np.float32]

    def without_fingerprint(self) -> "ScannedPicture":
        """A copy of a few hundred bytes: the store keeps the fingerprint of 15 KB."""
        return replace(self, fingerprint=EMPTY_FINGERPRINT)


@dataclass(frozen=True, slots=True)
class UnreadablePicture:
    """A picture that cannot be read, and the reason."""

    item: AuditItem
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScanJob:
    """Reads pictures in a process."""

    features: Features

    def in_process(self) -> "ScanJob":
        """The job itself: it needs no cache."""
        return self

    def scan(self, item: AuditItem) -> ScannedPicture | UnreadablePicture:
        """Reads one picture."""
        return scan_picture(item, self.features)


def scan_pictures(
    items: Sequence[AuditItem], features: Features, workers: int, progress: Progress
) -> Iterator[ScannedPicture | UnreadablePicture]:
    """Reads pictures in `workers` processes, in the order of `items`."""
    with JobProcesses(ScanJob(features), workers) as pool:
        yield from pool.map("scan", items, progress)


def scan_picture(item: AuditItem, features: Features) -> ScannedPicture | UnreadablePicture:
    """Reads one picture."""
    try:
        data = item.path.read_bytes()
    except OSError as error:
        return UnreadablePicture(item, "unreadable", f"cannot be read ({error.strerror})")
    try:
        header = read_header(data, item.file)
        pixels = decode_picture(data, item.file)
    except (PictureError, cv2.error) as error:
        reason = str(error).removeprefix(f"{item.file}: ")
        return UnreadablePicture(
            item, "truncated" if "truncated" in reason else "unreadable", reason
        )
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
    return ScannedPicture(
        item=item,
        width=pixels.shape[1],
        height=pixels.shape[0],
        mode=_mode(header.kind, data, pixels),
        size=len(data),
        file_hash=hashlib.sha256(data).digest(),
        pixel_hash=hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest(),
        lighting=lighting_of(grey),
        fingerprint=fingerprint(grey),
        features=features.of(pixels),
    )


@dataclass(frozen=True, slots=True)
class PictureReader:
    """Reads the picture of a row again for the pixel comparison."""

    paths: tuple[Path, ...]

    def __call__(self, row: int) -> ComparedPicture | None:
        """The picture, None when it is no longer readable."""
        path = self.paths[row]
        try:
            pixels = decode_picture(path.read_bytes(), path.name)
        except (OSError, PictureError, cv2.error):  # removed since the first pass
            return None
        return compared_picture(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8))


def lighting_of(grey: Grey) -> Lighting:
    """Brightness, contrast and focus of a picture, uint8, (height, width)."""
    scale = min(1.0, LIGHTING_SIDE / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    plane = np.asarray(small, np.float32)
    brightness, contrast = mean_and_spread(plane)
    _, edges = mean_and_spread(np.asarray(cv2.Laplacian(plane, cv2.CV_32F), np.float32))
    return Lighting(brightness, contrast, edges**2 / (contrast**2 + 1.0))


def _mode(kind: str, data: bytes, pixels: Pixels) -> str:
    """ "grey" or "colour", with or without "with alpha", by pixel values and not by storage format.

    A picture of three equal channels is grey.
    """
    small = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA).astype(np.int16)
    difference = np.quantile(small.max(axis=2) - small.min(axis=2), 0.99)
    colours = "colour" if difference > MIN_COLOUR_DIFFERENCE else "grey"
    alpha = kind == "PNG" and (data[25] in (4, 6) or b"tRNS" in data[:4096])
    return f"{colours} with alpha" if alpha else colours
