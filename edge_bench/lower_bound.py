"""The bare work of a frame, as the lower bound: one thread decodes, prepares and runs the model
with the daemon's functions, and does nothing else. It runs as a worker process:

    python -m edge_bench.lower_bound '{"config": …, "format": "jpeg", "files": […], …}'

With `"in_turns": true` it works in turns; the bench sends the seconds of each turn.
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import load_config
from edge.core.image import examine_picture
from edge.core.percentiles import spread
from edge.core.view import ViewConfig
from edge.inspection import Inspector, ViewCrop
from edge.pipeline import build_inspector
from edge_bench.worker_pipe import Answer, serve_request, serve_turns

Pixels = NDArray[np.uint8]
Decode = Callable[[bytes], tuple[Pixels, int]]
_WARM_UP_FRAMES = 5


def decode_jpeg(data: bytes, inspector: Inspector, crop: ViewCrop) -> tuple[Pixels, int]:
    """Decodes as the daemon does, by the model's rule: the pixels and the divisor of both sides."""
    return inspector.decode(examine_picture(data, "bench"), crop)


def decode_yuyv(data: bytes, width: int, height: int) -> Pixels:
    """Decodes as OpenCV's V4L2 capture does: uint8, (height, width, 3), BGR."""
    raw = np.frombuffer(data, np.uint8).reshape(height, width, 2)
    return np.asarray(cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_YUYV), np.uint8)


def work(request: dict[str, Any]) -> Answer:
    """Returns frames, seconds, CPU seconds and the percentiles of each stage in ms.

    `rate` null means full speed. Without files it only loads the model. Raises EdgeInspectError.
    """
    inspector = build_inspector(load_config(Path(request["config"])))
    found: Answer = {
        "runtime": inspector.runtime,
        "model": f"{inspector.identity.name} {inspector.identity.version}",
        "input": list(inspector.input.shape),
    }
    if not request.get("files"):
        return found
    loop = Loop(request, inspector)
    return found | loop.turn(float(request["seconds"]), request.get("rate")) | loop.summary()


def start_work(request: dict[str, Any]) -> Callable[[float | None], Answer]:
    """For `serve_turns`: a number is the seconds to work, None asks for the summary."""
    loop = Loop(request, build_inspector(load_config(Path(request["config"]))))
    return lambda seconds: loop.summary() if seconds is None else loop.turn(seconds)


def _decoder(
    request: dict[str, Any], inspector: Inspector, crop: ViewCrop
) -> tuple[Decode, list[bytes]]:
    if request["format"] == "jpeg":
        return (
            lambda data: decode_jpeg(data, inspector, crop),
            [Path(file).read_bytes() for file in request["files"]],
        )
    width, height = int(request["width"]), int(request["height"])
    whole, size = Path(request["files"][0]).read_bytes(), 2 * width * height
    data = [whole[at : at + size] for at in range(0, len(whole), size)]
    return lambda raw: (decode_yuyv(raw, width, height), 1), data


class Loop:
    """Processes one picture after the other on one thread."""

    def __init__(self, request: dict[str, Any], inspector: Inspector) -> None:
        """Processes a few pictures to warm up; they do not count."""
        cv2.setNumThreads(1)
        self._inspector, self._crop = inspector, ViewCrop(inspector.input.view or ViewConfig())
        self._decode, self._data = _decoder(request, inspector, self._crop)
        self._reduced = 1
        for number in range(_WARM_UP_FRAMES):
            self._frame(number)
        self._times: list[tuple[float, float, float, float]] = []

    def turn(self, seconds: float, rate: float | None = None) -> Answer:
        """Works for `seconds`, at `rate` frames/s or at full speed. Returns frames and times."""
        tick, before = time.perf_counter, len(self._times)
        start, cpu = tick(), time.process_time()
        due = start
        while tick() < start + seconds:
            if rate:
                time.sleep(max(0.0, due - tick()))
                due += 1 / rate
            self._times.append(self._frame(len(self._times)))
        return {
            "frames": len(self._times) - before,
            "seconds": tick() - start,
            "cpu_s": time.process_time() - cpu,
        }

    def summary(self) -> Answer:
        """Milliseconds of all stages and of whole frames, and the divisor of the decoding."""
        decode, prepare, invoke = (
            [(done - started) * 1000 for started, done in zip(column, after)]
            for column, after in pairwise(zip(*self._times))
        )
        totals = [sum(times) for times in zip(decode, prepare, invoke)]
        stages = {"decode": decode, "prepare": prepare, "invoke": invoke}
        return {
            "reduced": self._reduced,
            "stages_ms": {name: spread(times) for name, times in stages.items()},
            "frame_ms": spread(totals),
        }

    def _frame(self, number: int) -> tuple[float, float, float, float]:
        """Processes one picture. Returns the times of start, decoded, prepared and done, in s."""
        tick = time.perf_counter
        started = tick()
        pixels, self._reduced = self._decode(self._data[number % len(self._data)])
        decoded = tick()
        (cut,) = self._crop.cut(pixels, self._reduced).values()
        picture = self._inspector.prepare(cut)
        prepared = tick()
        self._inspector.classify(picture)
        return started, decoded, prepared, tick()


if __name__ == "__main__":
    sys.exit(
        serve_turns(start_work) if "in_turns" in json.loads(sys.argv[1]) else serve_request(work)
    )
