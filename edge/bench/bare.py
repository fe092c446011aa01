"""The bare work of a frame, as the limit: one thread that decodes, prepares and runs the model by
the daemon's own functions, and does nothing else. In a process of its own:

    python -m edge.bench.bare '{"config": …, "format": "jpeg", "files": […], "seconds": 2, …}'
"""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bench.child import Answer, answer
from edge.configfile import load_config
from edge.inspection.framing import Framing
from edge.inspection.inspector import Inspector
from edge.modelside import inspector_from
from edge.percentiles import spread
from edge.picture import examine_picture
from edge.view import ViewConfig

Pixels = NDArray[np.uint8]
Decode = Callable[[bytes], tuple[Pixels, int]]
_WARM = 5


def decode_jpeg(data: bytes, inspector: Inspector, framing: Framing) -> tuple[Pixels, int]:
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
    inspector = inspector_from(load_config(Path(request["config"])))
    said: Answer = {
        "runtime": inspector.runtime,
        "model": f"{inspector.identity.name} {inspector.identity.version}",
        "input": list(inspector.input.shape),
    }
    if not request.get("files"):
        return said
    cv2.setNumThreads(1)  # one thread
    return said | _loop(request, inspector)


def _decoder(
    request: dict[str, Any], inspector: Inspector, framing: Framing
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


def _loop(request: dict[str, Any], inspector: Inspector) -> Answer:
    framing = Framing(inspector.input.view or ViewConfig())
    decode, data = _decoder(request, inspector, framing)
    rate = request.get("rate")
    interval, tick = 1 / rate if rate else 0.0, time.perf_counter
    stages: dict[str, list[float]] = {"decode": [], "prepare": [], "invoke": []}
    start = due = cpu = 0.0
    end, number, reduced = math.inf, -_WARM, 1
    while tick() < end:
        if number == 0:
            start = due = tick()
            end, cpu = start + float(request["seconds"]), time.process_time()
        if rate and number >= 0:
            time.sleep(max(0.0, due - tick()))
            due += interval
        begun = tick()
        pixels, reduced = decode(data[number % len(data)])
        decoded = tick()
        (cut,) = framing.cut(pixels, reduced).values()
        picture = inspector.prepare(cut, reduced)
        prepared = tick()
        inspector.classify(picture)
        done = tick()
        if number >= 0:
            stages["decode"].append((decoded - begun) * 1000)
            stages["prepare"].append((prepared - decoded) * 1000)
            stages["invoke"].append((done - prepared) * 1000)
        number += 1
    wall_s, cpu_s = tick() - start, time.process_time() - cpu
    totals = [sum(times) for times in zip(*stages.values())]
    return {
        "frames": number,
        "seconds": wall_s,
        "cpu_s": cpu_s,
        "reduced": reduced,
        "stages_ms": {name: spread(times) for name, times in stages.items()},
        "frame_ms": spread(totals),
    }


if __name__ == "__main__":
    sys.exit(answer(work))
