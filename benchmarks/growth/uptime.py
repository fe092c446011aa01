"""Frames so far 0…1,000,000: small pictures as fast as they can, and one live camera whose verdicts
are timed; by the tenth of the run."""

import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.growth import processes
from benchmarks.growth.rules import Cost
from tests.support.counter import VerdictCounter
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, draw_many
from tests.support.waiting import wait_until

_TENTHS, _LOOKS = 10, 5  # looks at each tenth are its repeats
_PICTURES = 40
_SILENCE_S = 300.0
_LIVE_FPS = 20


def measure(folder: Path, frames: int) -> list[Cost]:
    """The costs, over the frames that were judged before."""
    draw_many(folder / "parts", _PICTURES)
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
    broker.start()
    counter = VerdictCounter(broker.port, live_camera="live")
    daemon = Daemon(
        folder,
        {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [
                {
                    "id": "fast",
                    "source": f"replay:{folder / 'parts'}",
                    "rate": "max",
                    "loop": -(-2 * frames // _PICTURES),
                },
                {"id": "live", "source": "test:", "width": 320, "height": 240, "fps": _LIVE_FPS},
            ],
            "decision": {"deadline_ms": 60_000},
            "mqtt": {"port": broker.port, "replay_per_s": 0},
        },
    )
    try:
        daemon.start()
        found = _looks(daemon, counter, frames)
        daemon.stop()
        left = daemon.waiting()
        wait_until(lambda: counter.count >= daemon.last_seq() - left, "the last verdicts")
        assert not counter.missing() or left, f"{counter.missing()} verdicts are missing"
    finally:
        daemon.close()
        counter.close()
        broker.close()
    return [
        Cost("CPU ms a frame", "each", found["cpu"], scale=1000, form=".3f"),
        Cost("ms a frame", "each", found["clock"], scale=1000, form=".3f"),
        Cost("memory (no file's), MB", "each", found["memory"], scale=2**-20, form=".1f"),
        Cost("threads", "each", found["threads"], form=".0f"),
        Cost("live p50 ms", "each", found["p50"], form=".1f"),
        Cost("live p99 ms", "each", found["p99"], form=".1f"),
    ]


def _looks(
    daemon: Daemon, counter: VerdictCounter, frames: int
) -> dict[str, dict[float, list[float]]]:
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    step = frames // (_TENTHS * _LOOKS)
    counter.wait_for(step, _SILENCE_S)  # warm
    assert daemon.process is not None
    pid = daemon.process.pid
    for number in range(_TENTHS * _LOOKS):
        at = frames // _TENTHS * (number // _LOOKS)
        count, since, late = counter.count, time.monotonic(), len(counter.delays_ms)
        cpu = processes.cpu_s(pid)
        counter.wait_for(count + step, _SILENCE_S)
        done = counter.count - count
        found["cpu"][at].append((processes.cpu_s(pid) - cpu) / done)
        found["clock"][at].append((time.monotonic() - since) / done)
        found["memory"][at].append(processes.own_memory(pid))
        found["threads"][at].append(processes.threads(pid))
        p50, p99 = np.percentile(counter.delays_ms[late:], [50, 99])
        found["p50"][at].append(float(p50))
        found["p99"][at].append(float(p99))
        del counter.delays_ms[:late]
    return found
