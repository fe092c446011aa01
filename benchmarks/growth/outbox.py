"""Outbox rows 0…1,000,000 waiting: the file alone, in a process of its own; then the real daemon
with the broker back: how late are live verdicts meanwhile?"""

import time
from pathlib import Path

import numpy as np

from benchmarks.growth import processes
from benchmarks.growth.outboxprobe import fill
from benchmarks.growth.probe import QUICK_REPEATS, REPEATS, ask, rounds
from benchmarks.growth.rules import Cost
from tests.support.counter import VerdictCounter
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon

ROWS, QUICK = (0, 1000, 10_000, 100_000, 1_000_000), (0, 1000, 10_000)
_SLICE_S, _QUICK_S = 5.0, 2.0
_FPS, _REPLAY = 10.0, 20.0  # a second; the smallest backlog lasts longer than a slice
_SILENCE_S = 120.0


def measure(folder: Path, *, quick: bool, sizes: tuple[int, ...] = ()) -> list[Cost]:
    """The costs, over the number of rows that wait."""

    def once(rows: int) -> dict[str, float]:
        own = folder / f"{rows}"
        path = own / "state" / "outbox.db"
        fill(path, rows)
        alone = ask("benchmarks.growth.outboxprobe", path)
        return alone | _with_the_broker(own, _QUICK_S if quick else _SLICE_S)

    times = QUICK_REPEATS if quick else REPEATS
    found = rounds(times, sizes or (QUICK if quick else ROWS), once, warm=True)
    micro = {"scale": 1e6, "form": ".0f"}
    return [
        Cost("start, CPU ms", "whole", found["start"], scale=1000, form=".1f"),
        Cost("start, ms", "whole", found["start_s"], scale=1000, form=".1f"),
        Cost("commit, CPU us", "each", found["commit"], **micro),  # type: ignore[arg-type]
        Cost("commit, us", "each", found["commit_s"], **micro),  # type: ignore[arg-type]
        Cost("holding and stats, CPU us", "each", found["look"], **micro),  # type: ignore[arg-type]
        Cost("batch of 20, CPU us", "each", found["batch"], 1, **micro),  # type: ignore[arg-type]
        Cost("bytes a row", "each", found["bytes"], 1, form=".0f"),
        Cost("memory, MB", "each", found["memory"], scale=2**-20, form=".1f"),
        Cost("broker back: live p50 ms", "each", found["p50"], 1, form=".1f"),
        Cost("live p99 ms", "each", found["p99"], 1, form=".1f"),
        Cost("CPU ms a verdict delivered", "each", found["delivered"], 1, scale=1000, form=".2f"),
    ]


def _with_the_broker(folder: Path, slice_s: float) -> dict[str, float]:
    """Live verdicts beside the backlog, which has the pace that leaves some of it to the end."""
    broker = Mosquitto(folder / f"broker-{time.monotonic_ns()}", "allow_anonymous true")
    broker.start()
    counter = VerdictCounter(broker.port, live_camera="live")
    camera = {"id": "live", "source": "test:", "fps": _FPS, "width": 320, "height": 240}
    daemon = Daemon(
        folder,
        {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [camera],
            "mqtt": {"port": broker.port, "replay_per_s": _REPLAY},
            "outbox": {"path": str(folder / "state" / "outbox.db"), "max_mb": 4096},
        },
    )
    try:
        daemon.start()
        counter.wait_for(int(2 * _FPS), _SILENCE_S)  # warm
        assert daemon.process is not None
        pid = daemon.process.pid
        cpu, count, late = processes.cpu_s(pid), counter.count, len(counter.delays_ms)
        time.sleep(slice_s)
        delivered = (processes.cpu_s(pid) - cpu) / (counter.count - count)
        p50, p99 = np.percentile(counter.delays_ms[late:], [50, 99])
        daemon.stop()
    finally:
        daemon.close()
        counter.close()
        broker.close()
    return {"delivered": delivered, "p50": float(p50), "p99": float(p99)}
