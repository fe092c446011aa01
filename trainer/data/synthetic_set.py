"""`edge-train paint`: makes a data set for plants that have no defect at all yet.

Half of the good test parts get a painted defect. Figures from such a set say how well the model
finds painted defects; every output that shows them says so.
"""

import csv
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from edge.core.errors import DatasetError
from edge.core.image import read_picture
from trainer.core import check_free, write_folder
from trainer.data.folder_layout import find_pictures, typed_name
from trainer.data.manifest import COLUMNS, read_manifest
from trainer.data.split import choose_groups
from trainer.data.synthetic_defects import Pictures, paint

SYNTHETIC_LABEL = "painted"  # the folder of the painted pictures in test/
SYNTHETIC_NOTE = (
    "there was no real defect: all figures of defects are of painted ones, and what escapes on the "
    "line is not known; collect real defects, and train again with them"
)
TEST_FRACTION = 0.4  # of the pictures; half of these stay unpainted
MIN_GROUPS = 8  # two good and two painted groups in test, and some to learn from


def only_synthetic(files: Iterable[str], ok_label: str) -> bool:
    """Whether the only defect class is the painted one; `files` are relative to the data set."""
    paths = [Path(file).parts for file in files]
    classes = {parts[1] if parts[0] in ("train", "test") else parts[0] for parts in paths}
    return classes - {ok_label} == {SYNTHETIC_LABEL}


def make_synthetic_set(
    root: Path, target: Path, ok_label: str = "ok", seed: int = 0
) -> dict[str, int]:
    """Writes `target`/{train/ok,test/ok,test/painted}/… and manifest.csv, atomically.

    `root` has good pictures only, split or not; the manifest's groups stay whole. The same
    arguments give the same pictures. Returns the number of pictures by folder. Raises
    DatasetError for a set with defects or too few parts, for unreadable pictures, and for a
    `target` that exists or cannot be written.
    """
    found = find_pictures(root)
    labels = found.labels
    others = sorted(set(labels.values()) - {typed_name(ok_label)})
    if others:
        raise DatasetError(
            f"{root}: has pictures of {', '.join(others)}, so it needs no painted ones; train "
            "on it with --network one-class, or name the good class with --ok-label"
        )
    manifest = root / "manifest.csv"
    groups = read_manifest(manifest, labels) if manifest.exists() else {f: f for f in labels}
    names = sorted(set(groups.values()))
    if len(names) < MIN_GROUPS:
        raise DatasetError(
            f"{root}: {len(names)} parts, at least {MIN_GROUPS} are needed; "
            "add pictures of other parts"
        )
    check_free(target, "; give another folder, or remove it")
    folder_of = _folders(names, groups, ok_label, seed)
    return write_folder(target, lambda half: _write(half, found.paths, groups, folder_of, seed))


def _folders(names: list[str], groups: dict[str, str], ok_label: str, seed: int) -> dict[str, str]:
    """The target folder of each group."""
    found = dict.fromkeys(names, f"train/{ok_label}")
    pictures = list(groups.values())
    left = names
    for share, folder in ((TEST_FRACTION, f"test/{ok_label}"), (0.5, f"test/{SYNTHETIC_LABEL}")):
        counts = np.array([[pictures.count(name)] for name in left], np.int64)
        left = [name for name, cut in zip(left, choose_groups(counts, share, seed)) if cut]
        found.update(dict.fromkeys(left, folder))
    return found


def _write(
    half: Path, paths: dict[str, Path], groups: dict[str, str], folder_of: dict[str, str], seed: int
) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    files = sorted(groups)
    made = dict.fromkeys(sorted(set(folder_of.values())), 0)
    with (half / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for number, file in enumerate(files):
            folder = folder_of[groups[file]]
            label = Path(folder).name
            painted = label == SYNTHETIC_LABEL
            suffix = ".png" if painted else Path(file).suffix
            name = f"{folder}/{number:06d}-{Path(file).stem}{suffix}"
            (half / folder).mkdir(parents=True, exist_ok=True)
            if painted:
                _write_painted(
                    paths[file], paths[files[rng.integers(len(files))]], half / name, rng
                )
            else:
                shutil.copyfile(paths[file], half / name)
            table.writerow((name, label, groups[file]))
            made[folder] += 1
        stream.flush()
        os.fsync(stream.fileno())
    return made


def _write_painted(path: Path, other: Path, target: Path, rng: np.random.Generator) -> None:
    pixels = read_picture(path)
    size = pixels.shape[1], pixels.shape[0]
    pieces = cv2.resize(read_picture(other), size, interpolation=cv2.INTER_AREA)
    painted: Pictures = paint(pixels[None], np.asarray(pieces, np.uint8)[None], rng)
    done, content = cv2.imencode(".png", painted[0])
    if not done:
        raise DatasetError(f"{path}: cannot be written as PNG; remove it")
    target.write_bytes(content.tobytes())
