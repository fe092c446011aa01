"""How much memory training, audit and evaluation need, against the number of pictures.

    python -m benchmarks.many_pictures [--counts 2000,10000,50000] [--steps train,evaluate,audit]

Draws JPEG pictures of 128 px, each a part of its own, into a temporary folder; each step runs in a
process of its own. `train` is one epoch without the audit, which is a step of its own; `evaluate`
judges all the pictures, as the test part of another set. `peak` is all that was in memory at once,
pages of mapped files included, which the system takes back when it needs them; `own` is without
those.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

SIDE = 128
STEPS = ("train", "evaluate", "audit")
FEW = 20  # pictures a class in the train part of the set to be evaluated
LOOK_EVERY = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Used:
    """What a process needed: most memory at once in MB, and seconds."""

    peak: float
    own: float
    seconds: float


def draw(path: Path, seed: int, defective: bool) -> None:
    """A JPEG of grain; a defect is a bright scratch."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((SIDE // 8, SIDE // 8)).astype(np.float32) * 30
    picture = np.asarray(cv2.resize(coarse, (SIDE, SIDE)), np.float32) + 120
    picture += np.asarray(
        cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)).astype(np.float32) * 25, (0, 0), 1.0)
    )
    for _ in range(6):
        at = rng.integers(0, SIDE, 2).tolist()
        cv2.circle(picture, at, int(rng.integers(2, 10)), int(rng.integers(40, 200)), -1)
    if defective:
        ends = rng.integers(8, SIDE - 8, (2, 2)).tolist()
        cv2.line(picture, ends[0], ends[1], 235, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))


def draw_sets(root: Path, done: int, count: int) -> tuple[Path, Path]:
    """Two sets: of `count` pictures, of which `done` are there, and one to be evaluated on them."""
    flat, tested = root / "flat", root / "tested"
    for seed in range(done, count):
        label = "scratch" if seed % 10 == 0 else "ok"
        name = f"{label}/{seed:06}.jpg"
        draw(flat / name, seed, label != "ok")
        for part in ("train", "test") if seed < 10 * FEW else ("test",):
            target = tested / part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(flat / name)
    return flat, tested


def run(command: Sequence[str]) -> Used:
    """Runs a command of this package and watches its memory. Raises RuntimeError when it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=said, stderr=said)
        own = 0.0
        while True:
            own = max(own, _own(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(LOOK_EVERY)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        if code not in (0, 1):  # 1: what was trained in one epoch need not have learned
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {said.read()[-2000:]}")
    return Used(used.ru_maxrss / 1024, own, time.monotonic() - started)


def _own(pid: int) -> float:
    """Memory that is no file's, MB; 0 when the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def train_alone(options: list[str]) -> int:
    """`edge-train` in this process without the audit that goes before."""
    from trainer.cli.main import main as edge_train

    with patch("trainer.training.run.audit_training", return_value={}):
        return edge_train(options)


def main() -> int:
    """Prints a line a size and step."""
    if sys.argv[1:2] == ["--train-alone"]:
        return train_alone(sys.argv[2:])
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counts", default="2000,10000,50000")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--network", default="baseline")
    parser.add_argument("--side", default="64", help="of the network's input (%(default)s)")
    args = parser.parse_args()
    steps = [step for step in STEPS if step in args.steps.split(",")]
    print("pictures  step       peak MB   own MB  seconds", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root, done = Path(folder), 0
        for count in map(int, args.counts.split(",")):
            flat, tested = (str(path) for path in draw_sets(root, done, count))
            done, target = count, f"{root}/run{count}"
            options = [flat, "-o", target, "--network", args.network, "--side", args.side]
            options += ["--epochs", "1", "--no-baseline"]
            commands = {
                "train": ["benchmarks.many_pictures", "--train-alone", *options],
                "evaluate": ["trainer", "evaluate", f"{target}/model.keras", tested],
                "audit": ["trainer", "audit", flat],
            }
            for step in steps:
                used = run(commands[step])
                figures = f"{used.peak:>8.0f} {used.own:>8.0f} {used.seconds:>8.0f}"
                print(f"{count:>8}  {step:<9} {figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
