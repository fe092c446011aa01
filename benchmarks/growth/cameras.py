"""Cameras 1…8: replays at 10 pictures a second each, the real daemon, a real mosquitto."""

import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.growth import processes
from benchmarks.growth.rules import Cost
from tests.conftest import MODELS
from tests.loss.counter import EVERY, Counter
from tests.system.mosquitto import Mosquitto
from tests.system.plant import Daemon, wait_for

COUNTS, QUICK = (1, 2, 3, 4, 6, 8), (1, 2, 4)
_RATE = 10.0  # pictures a second, each camera
_SLICES, _SLICE_S, _QUICK_S = 5, 5.0, 2.0
_SILENCE_S = 60.0
_PICTURES = 10


def measure(folder: Path, *, quick: bool, counts: tuple[int, ...] = ()) -> list[Cost]:
    """The costs, over the number of cameras."""
    _draw(folder / "parts")
    found: dict[str, dict[float, list[float]]] = defaultdict(dict)
    for count in counts or (QUICK if quick else COUNTS):
        for name, repeats in _run(folder / f"{count}", folder / "parts", count, quick).items():
            found[name][count] = repeats
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


def _run(folder: Path, parts: Path, count: int, quick: bool) -> dict[str, list[float]]:
    folder.mkdir()
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
    broker.start()
    counter = Counter(broker.port, live_camera=EVERY)
    slice_s = _QUICK_S if quick else _SLICE_S
    loop = int(_RATE * (_SLICES * slice_s + _SILENCE_S)) // _PICTURES
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
    found: dict[str, list[float]] = defaultdict(list)
    try:
        daemon.start()
        counter.wait_for(int(2 * _RATE * count), _SILENCE_S)  # warm
        assert daemon.process is not None
        pid = daemon.process.pid
        for _ in range(_SLICES):
            frames, cpu, late = counter.count, processes.cpu_s(pid), len(counter.delays_ms)
            time.sleep(slice_s)
            found["cpu"].append((processes.cpu_s(pid) - cpu) / (counter.count - frames))
            found["memory"].append(processes.pss(pid))
            found["threads"].append(processes.threads(pid))
            p50, p99 = np.percentile(counter.delays_ms[late:], [50, 99])
            found["p50"].append(float(p50))
            found["p99"].append(float(p99))
        daemon.stop()
        wait_for(lambda: not counter.missing(), "the last verdicts")
    finally:
        daemon.close()
        counter.close()
        broker.close()
    return found
