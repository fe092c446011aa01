"""What evidence costs on the hot path: the daemon that keeps 5 % of its frames, against the same
daemon without an archive, in turns: frames/s, CPU of a frame, and memory. On a busy machine only
the CPU is steady.

    python -m benchmarks.evidence_cost --frames 600 --rounds 5
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.growth.processes import own_memory
from tests.support.models import MODELS
from tests.support.plant import Daemon
from tests.support.waiting import wait_until

_FIRST = 50  # frames of the start, which are not counted
_PICTURES = 20


def draw_all(folder: Path, width: int, height: int) -> None:
    """JPEGs that compress as photographs do; all of them pass."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(_PICTURES):
        small = rng.normal((90, 60, 40), 20, (height // 8, width // 8, 3))
        large = cv2.resize(np.clip(small, 0, 255).astype(np.uint8), (width, height))
        noisy = np.clip(large + rng.normal(0, 3, large.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:02}.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])


def cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def measure(root: Path, share: float, frames: int) -> tuple[float, float, float]:
    """Frames/s, milliseconds of CPU a frame, and memory in MB at the end."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        folder = Path(name)
        loops = -(-frames // _PICTURES)
        source = {"source": f"replay:{root / 'pictures'}", "rate": "max", "loop": loops}
        archive = {"enabled": share > 0, "path": str(folder / "kept"), "pass_sample": share}
        values = {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [{"id": "top", **source}],
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "archive": archive,
        }
        daemon = Daemon(folder, values)
        daemon.start()
        wait_until(lambda: daemon.last_seq() >= _FIRST)
        assert daemon.process is not None
        pid = daemon.process.pid
        first, began, cpu = daemon.last_seq(), time.monotonic(), cpu_s(pid)
        wait_until(lambda: daemon.last_seq() >= frames - _PICTURES)
        judged = daemon.last_seq() - first
        rate = judged / (time.monotonic() - began)
        each_ms = (cpu_s(pid) - cpu) / judged * 1000
        memory = own_memory(pid) / 2**20
        daemon.stop()
        kept = len(list((folder / "kept").rglob("*.json")))
        print(
            f"  {share:4.0%}: {rate:6.1f} frames/s, {each_ms:5.1f} ms of CPU a frame, "
            f"{memory:5.1f} MB, {kept} kept",
            flush=True,
        )
        return rate, each_ms, memory


def main() -> None:
    """Prints each run, and the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--size", default="1920x1080")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    ratios, costs, more = [], [], []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        draw_all(root / "pictures", width, height)
        for _ in range(arguments.rounds):
            without, lean, small = measure(root, 0.0, arguments.frames)
            kept, dear, large = measure(root, arguments.share, arguments.frames)
            ratios.append(kept / without)
            costs.append(dear / lean)
            more.append(large - small)
    print(
        f"{arguments.size}: {statistics.median(ratios):.3f} × the frames/s (from {min(ratios):.3f} "
        f"to {max(ratios):.3f}), {statistics.median(costs):.3f} × the CPU of a frame (from "
        f"{min(costs):.3f} to {max(costs):.3f}), {statistics.median(more):+.1f} MB"
    )


if __name__ == "__main__":
    main()
