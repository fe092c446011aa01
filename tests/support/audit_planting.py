"""Creates a data set with leaks: altered copies of test pictures in train, and flipped labels.

The leaks are known, so that an audit can be evaluated. The alterations are typical of people,
editors and export tools, single and combined.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.image import read_picture
from trainer.data.folder_layout import find_pictures
from trainer.data.manifest import read_manifest

Pixels = NDArray[np.uint8]
SHARE_COPIED = 0.10
SHARE_FLIPPED = 0.03
KINDS = ("rotated", "quarter", "mirrored", "sheared", "exposed", "compressed", "cropped", "mixed")
BORDERS = (
    (cv2.BORDER_CONSTANT, 0),
    (cv2.BORDER_CONSTANT, 255),
    (cv2.BORDER_REFLECT, 0),
    (cv2.BORDER_REPLICATE, 0),
)


@dataclass(frozen=True, slots=True)
class Planted:
    """The leaks: source and alteration of each copy, part of each file, flipped files."""

    copies: dict[str, tuple[str, str]]
    part: dict[str, str]
    flipped: set[str]


def alter(pixels: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    """An altered copy: uint8, (height, width, 3), BGR."""
    if kind == "quarter":
        return np.ascontiguousarray(np.rot90(pixels, int(rng.integers(1, 4))))
    if kind == "mirrored" or (kind == "mixed" and rng.random() < 0.3):
        pixels = np.ascontiguousarray(pixels[:, ::-1] if rng.random() < 0.5 else pixels[::-1])
    if kind in ("rotated", "sheared", "mixed"):
        angle = 0.0 if kind == "sheared" else float(rng.uniform(-180, 180))
        shear = 0.0 if kind == "rotated" else float(rng.uniform(0.05, 0.2) * rng.choice([-1, 1]))
        border, grey = BORDERS[int(rng.integers(len(BORDERS)))]
        pixels = warp(pixels, angle, shear, border, grey)
    if kind in ("exposed", "mixed"):
        gain, gamma, offset = rng.uniform(0.6, 1.5), rng.uniform(0.7, 1.4), rng.uniform(-25, 25)
        pixels = expose(pixels, float(gain), float(gamma), float(offset))
    if kind == "cropped" or (kind == "mixed" and rng.random() < 0.3):
        height, width = pixels.shape[:2]
        top, left = (int(side * rng.uniform(0, 0.1)) for side in (height, width))
        bottom, right = (int(side * rng.uniform(0.9, 1)) for side in (height, width))
        scale = float(rng.uniform(0.7, 1.3))
        cut = pixels[top:bottom, left:right]
        pixels = np.asarray(cv2.resize(cut, None, fx=scale, fy=scale), np.uint8)
    if kind in ("compressed", "mixed"):
        quality = int(rng.integers(30, 91))
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return pixels


def warp(
    pixels: Pixels, angle: float, shear: float, border: int = cv2.BORDER_REFLECT, grey: int = 0
) -> Pixels:
    """The picture rotated by `angle` degrees about its centre and sheared, on the same canvas.

    `border` is OpenCV's rule for uncovered pixels; `grey` fills them if the border is constant.
    """
    height, width = pixels.shape[:2]
    rotation = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0), [0, 0, 1]])
    shearing = np.array([[1, shear, -shear * height / 2], [0, 1, 0], [0, 0, 1]])
    warped = cv2.warpAffine(
        pixels,
        (shearing @ rotation)[:2],
        (width, height),
        borderMode=border,
        borderValue=(grey,) * 3,
    )
    return np.asarray(warped, np.uint8)


def expose(pixels: Pixels, gain: float, gamma: float, offset: float) -> Pixels:
    """Another exposure: gain · 255 · (p/255)^gamma + offset, clipped."""
    exposed = gain * 255 * (pixels / np.float32(255)) ** gamma + offset
    return np.asarray(np.clip(exposed, 0, 255), np.uint8)


def plant(
    source: Path,
    target: Path,
    seed: int,
    *,
    flip: bool = True,
    manifest: bool = False,
    share: float = SHARE_COPIED,
) -> Planted:
    """Writes the data set with leaks and flips to `target`. The test pictures stay unchanged.

    With `manifest`, the set has a manifest in which each copy is a separate group. Exits with a
    sentence for a data set without a split.
    """
    found = find_pictures(source)
    labels = found.labels
    if not found.split:
        sys.exit(f"{source}: has no train/ and test/; split it first")
    listed = source / "manifest.csv"
    groups = read_manifest(listed, labels) if listed.exists() else {file: file for file in labels}
    rng = np.random.default_rng(seed)
    names = sorted(set(labels.values()))
    files = sorted(labels)
    test = [file for file in files if file.startswith("test/")]
    chosen = sorted(rng.choice(test, max(1, round(share * len(test))), replace=False))
    flips = set(rng.choice(files, round(SHARE_FLIPPED * len(files)), replace=False).tolist())
    planted = Planted({}, {}, set())
    new_name = {}
    for file in files:
        part, label, *rest = file.split("/")
        if flip and file in flips:
            label = str(rng.choice([name for name in names if name != label]))
        new_name[file] = "/".join([part, label, *rest])
        _write_file(target / new_name[file], found.paths[file].read_bytes())
        planted.part[new_name[file]] = groups[file]
        if flip and file in flips:
            planted.flipped.add(new_name[file])
    manifest_groups = dict(planted.part)
    for at, file in enumerate(chosen):
        kind = KINDS[at % len(KINDS)]
        pixels = alter(read_picture(found.paths[file]), kind, rng)
        suffix = ".png" if kind == "quarter" else ".jpg"
        quality = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 90]
        code = rng.bytes(6).hex()
        new = f"train/{labels[file]}/{code}{suffix}"
        _write_file(target / new, cv2.imencode(suffix, pixels, quality)[1].tobytes())
        planted.copies[new] = (new_name[file], kind)
        planted.part[new] = groups[file]
        manifest_groups[new] = code
    if manifest:
        _write_manifest(target / "manifest.csv", manifest_groups)
    return planted


def _write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_manifest(path: Path, groups: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("file", "label", "group"))
        table.writerows((name, name.split("/")[1], group) for name, group in groups.items())
