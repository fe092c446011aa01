"""How long an audit takes and how much memory it needs, and how both grow with the pictures.

    python -m benchmarks.audit_scale [--side PIXELS] [--counts 2500,5000,10000] [--castings]

Pictures are drawn into a temporary folder; 5 % of the parts are photographed twice. Parts have
grain and ten marks of their own; with `--castings` all marks belong to the design, so that every
part looks like every other. Each size runs in its own process, so its memory is measured alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from trainer.audit import audit_dataset

TWICE = 20  # every so many parts is there a second time
DESIGN_SEED = 7  # of the marks that all castings share


def draw(path: Path, seed: int, side: int, *, casting: bool) -> None:
    """A JPEG of a part; every twentieth is the one before, turned and brighter."""
    copy = seed % TWICE == TWICE - 1
    rng = np.random.default_rng(seed - 1 if copy else seed)
    small = rng.standard_normal((side // 4, side // 4)).astype(np.float32) * (10 if casting else 40)
    fine = rng.standard_normal((side, side)).astype(np.float32) * 20
    shade = np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.5), (side, side)), np.float32)
    picture = 120 + shade + np.asarray(cv2.GaussianBlur(fine, (0, 0), 1.2), np.float32)
    picture[:, :: side // 5] += 60
    marks = np.random.default_rng(DESIGN_SEED) if casting else rng
    for _ in range(30 if casting else 10):
        at = marks.integers(side // 10, side - side // 10, 2).tolist()
        cv2.circle(
            picture, at, int(marks.integers(2, side // 16)), int(marks.integers(20, 235)), -1
        )
    if casting:  # the grain of the cast surface covers the marks too
        picture += np.asarray(cv2.GaussianBlur(fine[::-1], (0, 0), 1.2), np.float32)
    if copy:
        picture = np.rot90(picture) * np.float32(1.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))


def measure(root: Path) -> dict[str, float]:
    """One audit: seconds, processor seconds with its processes, and its largest memory, MB."""
    audit = audit_dataset(root)
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    right = {
        (f"{number - 1:06}", f"{number:06}") for number in range(TWICE - 1, audit.pictures, TWICE)
    }
    found = {tuple(sorted((Path(one.file).stem, Path(one.other).stem))) for one in audit.duplicates}
    return {
        "pictures": audit.pictures,
        "seconds": round(audit.seconds, 1),
        "processor_seconds": round(sum(t.ru_utime + t.ru_stime for t in (own, others)), 1),
        "most_mb": round(own.ru_maxrss / 1024),
        "pairs_compared": audit.pairs_compared,
        "copies_there": len(right),
        "copies_found": len(found & right),
        "wrong": len(found - right),
    }


def main() -> int:
    """Prints one JSON line a size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--counts", default="2500,5000,10000")
    parser.add_argument("--castings", action="store_true", help="parts that all look alike")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.only)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        done = 0
        for count in map(int, args.counts.split(",")):
            for seed in range(done, count):
                label = "ok" if seed // TWICE % 4 else "scratch"
                draw(
                    Path(folder) / "set" / label / f"{seed:06}.jpg",
                    seed,
                    args.side,
                    casting=args.castings,
                )
            done = count
            command = [sys.executable, "-m", "benchmarks.audit_scale", "--only", f"{folder}/set"]
            sys.stdout.write(subprocess.check_output(command, text=True))
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
