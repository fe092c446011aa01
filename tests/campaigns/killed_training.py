"""Compares trainings that are killed at random times and resumed with an undisturbed one.

    python -m tests.campaigns.killed_training DATASET [--networks compact,pretrained] [--times 5]

Each is killed twice (SIGKILL), at random times within the duration of the undisturbed training,
with audit and evaluation. Exit code 1 when a weight or a line of the history differs. DATASET
should be small, because the result does not matter.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

OPTIONS = {
    "compact": ("--side", "64", "--epochs", "8", "--batch", "16"),
    "pretrained": ("--side", "96", "--epochs", "4"),
}
KILLS = 2
WEIGHTS = "model.weights.h5"


def command(data: Path, run: Path, network: str) -> list[str]:
    """The command of edge-train with short settings."""
    argv = [sys.executable, "-m", "trainer", str(data), "-o", str(run), "--network", network]
    return [*argv, "--no-baseline", "--allow-leaks", *OPTIONS[network]]


def train_killed(argv: list[str], rng: random.Random, duration_s: float) -> list[float]:
    """Kills and resumes the training until it ends. Returns the seconds before each kill."""
    kills: list[float] = []
    while True:
        wait = rng.uniform(0.1, 1) * duration_s if len(kills) < KILLS else None
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills.append(round(wait or 0.0, 1))
            continue
        if process.returncode not in (os.EX_OK, 1):
            raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}")
        return kills


def same(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights, byte for byte, and the same history."""
    weights = []
    for run in (one, other):
        with zipfile.ZipFile(run / "model.keras") as archive:
            weights.append(archive.read(WEIGHTS))
    histories = [(run / "history.json").read_bytes() for run in (one, other)]
    return weights[0] == weights[1] and histories[0] == histories[1]


def main() -> int:
    """Prints one line per training. Returns 1 when one differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--networks", default=",".join(OPTIONS))
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, all_equal = random.Random(args.seed), True
    with tempfile.TemporaryDirectory() as folder:
        for network in args.networks.split(","):
            undisturbed = Path(folder) / f"{network}-alone"
            started = time.monotonic()
            argv = command(args.dataset, undisturbed, network)
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)
            duration_s = time.monotonic() - started
            print(f"{network}: undisturbed {duration_s:.0f} s", flush=True)
            for number in range(args.times):
                run = Path(folder) / f"{network}-{number}"
                kills = train_killed(command(args.dataset, run, network), rng, duration_s)
                equal = same(undisturbed, run)
                all_equal = all_equal and equal
                outcome = "the same" if equal else "NOT the same"
                print(f"{network}: killed after {kills} s: {outcome}", flush=True)
    return int(not all_equal)


if __name__ == "__main__":
    sys.exit(main())
