"""Cameras 1…8: replays at 10 pictures a second each, the real daemon, a real mosquitto."""

import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.growth import processes
from benchmarks.growth.probe import QUICK_REPEATS, REPEATS, rounds
from benchmarks.growth.rules import Cost
from tests.support.counter import ALL_CAMERAS, VerdictCounter
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon
from tests.support.waiting import wait_until

COUNTS, QUICK = (1, 2, 3, 4, 6, 8), (1, 2, 4)
_RATE = 10.0  # pictures a second, each camera
_SLICE_S, _QUICK_S = 6.0, 3.0
_SILENCE_S = 60.0
_PICTURES = 10


def measure(folder: Path, *, quick: bool, counts: tuple[int, ...] = ()) -> list[Cost]:
    """The costs, over the number of cameras."""
    _draw(folder / "parts")

    def once(count: int) -> dict[str, float]:
        own = folder / f"{count}-{time.monotonic_ns()}"
        return _run(own, folder / "parts", count, _QUICK_S if quick else _SLICE_S)

    times = QUICK_REPEATS if quick else REPEATS
    found = rounds(times, counts or (QUICK if quick else COUNTS), once, warm=False)
    return [
        Cost("CPU ms a frame", "each", found["cpu"], scale=1000),
        Cost("memory (PSS), MB", "whole", found["memory"], scale=2**-20, form=".1f"),
        Cost("threads", "whole", found["threads"], form=".0f"),
        Cost("capture to plant, p50 ms", "whole", found["p50"], form=".1f"),
        Cost("capture to plant, p99 ms", "whole", found["p99"], form=".1f"),
    ]


def _draw(folder: Path) -> None:
    """VGA pictures with something on them, as JPEG."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    for number in range(_PICTURES):
        rough = noise.integers(40, 200, (60, 80, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.resize(rough, (640, 480)))


def _run(folder: Path, parts: Path, count: int, slice_s: float) -> dict[str, float]:
    folder.mkdir()
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
    broker.start()
    counter = VerdictCounter(broker.port, live_camera=ALL_CAMERAS)
    loop = int(_RATE * (slice_s + _SILENCE_S)) // _PICTURES
    camera = {"source": f"replay:{parts}", "rate": _RATE, "loop": loop}
    daemon = Daemon(
        folder,
        {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [{"id": f"c{number}", **camera} for number in range(count)],
            "mqtt": {"port": broker.port},
        },
    )
    try:
        daemon.start()
        counter.wait_for(int(2 * _RATE * count), _SILENCE_S)  # warm
        assert daemon.process is not None
        pid = daemon.process.pid
        frames, cpu, late = counter.count, processes.cpu_s(pid), len(counter.delays_ms)
        time.sleep(slice_s)
        used = (processes.cpu_s(pid) - cpu) / (counter.count - frames)
        p50, p99 = np.percentile(counter.delays_ms[late:], [50, 99])
        held, threads = processes.pss(pid), processes.threads(pid)
        daemon.stop()
        wait_until(lambda: not counter.missing(), "the last verdicts")
    finally:
        daemon.close()
        counter.close()
        broker.close()
    return {"cpu": used, "memory": held, "threads": threads, "p50": float(p50), "p99": float(p99)}
