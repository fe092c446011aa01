"""Kills a process while it writes evidence, and starts it again. Checks that no picture is left
without its record, no record without its pictures, and that the budget is kept.

    python -m tests.campaigns.evidence_kills --kills 200

The process writes parts of one to three frames, with the budget full, so that it also deletes. It
is a fork, so that a kill costs milliseconds; `kill -9` comes at a random time. Exit code 1 when a
rule is broken.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from edge.config import ArchiveConfig
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.storage import EvidenceReader
from edge.storage.evidence.archive import Archive, NoLabels
from edge.storage.evidence.names import read_name
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until

MAX_MB = 2.0
_SIDE = 96  # pixels: a frame of noise takes 28 KB
_LONGEST_S = 0.25
_BLOCK = 4096


def new_archive(folder: Path) -> Archive:
    """An archive that keeps every fail."""
    config = ArchiveConfig(enabled=True, path=folder, max_mb=MAX_MB, min_free_mb=0)
    return Archive(config, Clock(), NoLabels())


def write_until_killed(folder: Path, seed: int) -> None:
    """Keeps one part after the other."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    archive = new_archive(folder)
    threading.Thread(target=archive.run, daemon=True).start()
    seq = 0
    while True:
        frames = []
        for _ in range(int(rng.integers(1, 4))):
            seq += 1
            pixels = rng.integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
            frames.append(Frame("top", seq, pixels, time.time(), time.monotonic()))
        camera = ("top", "side")[seq % 2]
        archive.keep(frames, a_verdict(camera=camera, captured_at=time.time()))
        time.sleep(0.002)


def kill_one(folder: Path, seed: int, after_s: float) -> None:
    """Starts the process and kills it after that time."""
    child = os.fork()
    if child == 0:
        try:
            write_until_killed(folder, seed)
        finally:
            os._exit(70)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def start_again(folder: Path) -> None:
    """What the next start does before its first picture."""
    archive = new_archive(folder)
    thread = threading.Thread(target=archive.run)
    thread.start()
    wait_until(lambda: archive.counted)
    archive.close()
    thread.join()


def broken_rules(folder: Path) -> list[str]:
    """Everything that must not be there."""
    found: list[str] = []
    stems: Counter[str] = Counter()
    largest = total = 0
    for day in folder.iterdir():
        for path in day.iterdir():
            name = read_name(path.name)
            if name is None:
                found += [f"{path.name} is unfinished"] if path.name != ".order" else []
                continue
            size = -(-path.stat().st_size // _BLOCK) * _BLOCK
            stems[name.stem] += size
            total += size
    largest = max(stems.values(), default=0)
    for record in EvidenceReader(folder).records():
        if record.result is None:
            found.append(f"{record.stem} has no record")
        for frame in record.frames:
            if not (record.folder / frame.file).is_file():
                found.append(f"{frame.file} is missing")
        stems.pop(record.stem, None)
    found += [f"{stem} has no picture" for stem in stems]
    if total > MAX_MB * 2**20 + largest:
        found.append(f"{total} bytes, above the budget by more than a picture")
    return found


def main() -> int:
    """Prints the counts. Exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    broken: list[str] = []
    unfinished = written = 0
    since = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "archive"
        folder.mkdir()
        for kill in range(arguments.kills):
            kill_one(folder, arguments.seed * 1000 + kill, rng.uniform(0.005, _LONGEST_S))
            unfinished += bool(broken_rules(folder))
            start_again(folder)
            broken += [f"kill {kill}: {rule}" for rule in broken_rules(folder)]
            written = len(list(EvidenceReader(folder).records()))
    print(
        f"{arguments.kills} kills in {time.monotonic() - since:.0f} s: {unfinished} left something "
        f"unfinished, {len(broken)} rules broken after the next start, {written} records at the end"
    )
    for rule in broken[:20]:
        print(rule)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
