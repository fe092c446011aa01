"""How much of a planted leak and of flipped labels the audit finds, on any data-set folder.

    python -m benchmarks.audit_leaks DATASET [--seed N] [--keep FOLDER] [--json FILE]

10 % of the test pictures are put into train as altered copies under neutral names, 3 % of all
labels are flipped, and the manifest is left out. What counts as right: a leak between a copy and a
picture of the part that it shows. The manifest of DATASET, if any, says which part that is.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.picture import read_picture
from trainer.audit.examine import examine
from trainer.layout import find_pictures
from trainer.manifest import read_manifest

Pixels = NDArray[np.uint8]
SHARE_COPIED = 0.10
SHARE_FLIPPED = 0.03
KINDS = ("rotated", "quarter", "mirrored", "sheared", "exposed", "compressed", "cropped", "mixed")


def alter(pixels: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    """A copy as a person or an export tool would make it: uint8, (height, width, 3), BGR."""
    if kind == "quarter":
        return np.ascontiguousarray(np.rot90(pixels, int(rng.integers(1, 4))))
    if kind == "mirrored":
        return np.ascontiguousarray(pixels[:, ::-1] if rng.random() < 0.5 else pixels[::-1])
    if kind in ("rotated", "sheared", "mixed"):
        angle = 0.0 if kind == "sheared" else float(rng.uniform(-180, 180))
        shear = 0.0 if kind == "rotated" else float(rng.uniform(0.05, 0.2) * rng.choice([-1, 1]))
        pixels = warp(pixels, angle, shear, bool(rng.random() < 0.5))
    if kind in ("exposed", "mixed"):
        gain, gamma, offset = rng.uniform(0.6, 1.5), rng.uniform(0.7, 1.4), rng.uniform(-25, 25)
        pixels = expose(pixels, float(gain), float(gamma), float(offset))
    if kind == "cropped":
        height, width = pixels.shape[:2]
        top, left = (int(side * rng.uniform(0, 0.1)) for side in (height, width))
        low, right = (int(side * rng.uniform(0.9, 1)) for side in (height, width))
        scale = float(rng.uniform(0.7, 1.3))
        pixels = cv2.resize(pixels[top:low, left:right], None, fx=scale, fy=scale)  # type: ignore[assignment]
    if kind in ("compressed", "mixed"):
        quality = int(rng.integers(40, 85))
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return pixels


def warp(pixels: Pixels, angle: float, shear: float, reflect: bool) -> Pixels:
    """Turned by `angle` degrees about its middle and sheared, on the same canvas."""
    height, width = pixels.shape[:2]
    turn = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0), [0, 0, 1]])
    push = np.array([[1, shear, -shear * height / 2], [0, 1, 0], [0, 0, 1]])
    border = cv2.BORDER_REFLECT if reflect else cv2.BORDER_CONSTANT
    moved = cv2.warpAffine(pixels, (push @ turn)[:2], (width, height), borderMode=border)
    return np.asarray(moved, np.uint8)


def expose(pixels: Pixels, gain: float, gamma: float, offset: float) -> Pixels:
    """As another exposure would have given it: gain · 255 · (p/255)^gamma + offset, clipped."""
    bent = gain * 255 * (pixels / np.float32(255)) ** gamma + offset
    return np.asarray(np.clip(bent, 0, 255), np.uint8)


@dataclass(frozen=True, slots=True)
class Planted:
    """The made set: what each copy was made from and how, the part of each file, the flips."""

    copies: dict[str, tuple[str, str]]
    part: dict[str, str]
    flipped: set[str]


def plant(source: Path, target: Path, seed: int) -> Planted:
    """Writes DATASET with leaks and flips to `target`; the test pictures themselves stay."""
    split, labels = find_pictures(source)
    if not split:
        sys.exit(f"{source}: has no train/ and test/; split it first")
    manifest = source / "manifest.csv"
    groups = read_manifest(manifest, labels) if manifest.exists() else {f: f for f in labels}
    rng = np.random.default_rng(seed)
    names = sorted(set(labels.values()))
    files = sorted(labels)
    test = [file for file in files if file.startswith("test/")]
    chosen = sorted(rng.choice(test, max(1, round(SHARE_COPIED * len(test))), replace=False))
    flips = set(rng.choice(files, round(SHARE_FLIPPED * len(files)), replace=False).tolist())
    planted = Planted({}, {}, set())
    for file in files:
        part, label, *rest = file.split("/")
        if file in flips:
            label = str(rng.choice([name for name in names if name != label]))
        new = "/".join([part, label, *rest])
        _place(target / new, (source / file).read_bytes())
        planted.part[new] = groups[file]
        if file in flips:
            planted.flipped.add(new)
    for at, file in enumerate(chosen):
        kind = KINDS[at % len(KINDS)]
        pixels = alter(read_picture(source / file), kind, rng)
        quality = [] if kind == "quarter" else [cv2.IMWRITE_JPEG_QUALITY, 90]
        data = cv2.imencode(".png" if kind == "quarter" else ".jpg", pixels, quality)[1]
        code = rng.bytes(6).hex()
        new = f"train/{labels[file]}/{code}{'.png' if kind == 'quarter' else '.jpg'}"
        _place(target / new, data.tobytes())
        planted.copies[new] = (file, kind)
        planted.part[new] = groups[file]
    return planted


def _place(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def judge(report: dict[str, Any], planted: Planted) -> dict[str, Any]:
    """Recall and precision of the leaks, and how high the flipped labels are ranked."""
    partners: dict[str, set[str]] = defaultdict(set)
    for leak in report["leaks"]:
        partners[leak["file"]].add(leak["twin"])
        partners[leak["twin"]].add(leak["file"])
    part = planted.part
    found = {
        copy for copy in planted.copies if any(part[twin] == part[copy] for twin in partners[copy])
    }
    wrong = [leak for leak in report["leaks"] if part[leak["file"]] != part[leak["twin"]]]
    kinds = Counter(kind for _, kind in planted.copies.values())
    hits = Counter(planted.copies[copy][1] for copy in found)
    ranked = [entry["file"] for entry in report["label_ranking"]]
    top = set(ranked[: round(0.1 * len(ranked))])
    pairs = len(report["leaks"])
    return {
        "copies": len(planted.copies),
        "copies_found": len(found),
        "recall": round(len(found) / len(planted.copies), 4),
        "by_kind": {kind: f"{hits[kind]}/{kinds[kind]}" for kind in kinds},
        "leaks": pairs,
        "wrong_leaks": len(wrong),
        "precision": round(1 - len(wrong) / pairs, 4) if pairs else None,
        "missed": {copy: planted.copies[copy] for copy in planted.copies if copy not in found},
        "wrong": wrong[:10],
        "flipped": len(planted.flipped),
        "flipped_in_top_10_percent": round(
            len(top & planted.flipped) / max(1, len(planted.flipped)), 4
        ),
    }


def main() -> int:
    """Makes the set, audits it, prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", metavar="DATASET", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="where the made set stays")
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = args.keep or Path(folder) / "planted"
        if args.keep and target.exists():
            shutil.rmtree(target)
        planted = plant(args.dataset, target, args.seed)
        report = examine(target).as_json(ranking=True)
    result = judge(report, planted) | {"seconds": report["seconds"], "seed": args.seed}
    text = json.dumps(result, indent=1)
    print(text)
    if args.json_file:
        args.json_file.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
