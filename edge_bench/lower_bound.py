"""The bare work of a frame, as the limit: one thread that decodes, prepares and runs the model by
the daemon's own functions, and does nothing else. Runs as a worker process:

    python -m edge_bench.lower_bound '{"config": …, "format": "jpeg", "files": […], …}'

With `"talk": true` it works in turns; the bench sends the seconds of each.
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
from edge.inspection.inspector import Inspector
from edge.inspection.view_crop import ViewCrop
from edge.pipeline import build_inspector
from edge_bench.worker_pipe import Answer, answer, converse

Pixels = NDArray[np.uint8]
Decode = Callable[[bytes], tuple[Pixels, int]]
_WARM = 5


def decode_jpeg(data: bytes, inspector: Inspector, framing: ViewCrop) -> tuple[Pixels, int]:
    """As the daemon decodes a JPEG for this model: uint8, (height, width, 3), BGR, and by what both
    sides were divided."""
    return inspector.decode(examine_picture(data, "bench"), framing)


def decode_yuyv(data: bytes, width: int, height: int) -> Pixels:
    """As OpenCV's V4L2 capture does: uint8, (height, width, 3), BGR, from two bytes a pixel."""
    raw = np.frombuffer(data, np.uint8).reshape(height, width, 2)
    return np.asarray(cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_YUYV), np.uint8)


def work(request: dict[str, Any]) -> Answer:
    """Answers frames, seconds, CPU seconds and the percentiles of each stage in ms. `rate` null:
    as fast as it goes. With no files it only loads the model. Raises EdgeInspectError."""
    inspector = build_inspector(load_config(Path(request["config"])))
    said: Answer = {
        "runtime": inspector.runtime,
        "model": f"{inspector.identity.name} {inspector.identity.version}",
        "input": list(inspector.input.shape),
    }
    if not request.get("files"):
        return said
    loop = Loop(request, inspector)
    return said | loop.turn(float(request["seconds"]), request.get("rate")) | loop.summary()


def begin(request: dict[str, Any]) -> Callable[[float | None], Answer]:
    """For `converse`: works for these seconds; None: sums up."""
    loop = Loop(request, build_inspector(load_config(Path(request["config"]))))
    return lambda seconds: loop.summary() if seconds is None else loop.turn(seconds)


def _decoder(
    request: dict[str, Any], inspector: Inspector, framing: ViewCrop
) -> tuple[Decode, list[bytes]]:
    if request["format"] == "jpeg":
        return (
            lambda data: decode_jpeg(data, inspector, framing),
            [Path(file).read_bytes() for file in request["files"]],
        )
    width, height = int(request["width"]), int(request["height"])
    whole, size = Path(request["files"][0]).read_bytes(), 2 * width * height
    data = [whole[at : at + size] for at in range(0, len(whole), size)]
    return lambda raw: (decode_yuyv(raw, width, height), 1), data


class Loop:
    """A picture after the other on one thread."""

    def __init__(self, request: dict[str, Any], inspector: Inspector) -> None:
        """Works on a few, which do not count."""
        cv2.setNumThreads(1)
        self._inspector, self._framing = inspector, ViewCrop(inspector.input.view or ViewConfig())
        self._decode, self._data = _decoder(request, inspector, self._framing)
        self._reduced = 1
        for number in range(_WARM):
            self._frame(number)
        self._times: list[tuple[float, float, float, float]] = []

    def turn(self, seconds: float, rate: float | None = None) -> Answer:
        """Goes on for so long, at `rate` frames/s or as fast as it goes: frames, seconds and CPU
        seconds."""
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
        """Milliseconds of all stages and of whole frames, and how they were decoded."""
        decode, prepare, invoke = (
            [(done - begun) * 1000 for begun, done in zip(column, after)]
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
        """When it began, was decoded, was prepared, and was done; seconds."""
        tick = time.perf_counter
        begun = tick()
        pixels, self._reduced = self._decode(self._data[number % len(self._data)])
        decoded = tick()
        (cut,) = self._framing.cut(pixels, self._reduced).values()
        picture = self._inspector.prepare(cut, self._reduced)
        prepared = tick()
        self._inspector.classify(picture)
        return begun, decoded, prepared, tick()


if __name__ == "__main__":
    sys.exit(converse(begin) if "talk" in json.loads(sys.argv[1]) else answer(work))
