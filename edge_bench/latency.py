"""From "a frame is available" to "its PUBLISH is handed to the socket", at a steady few frames/s.

A network camera's frame is available when its last byte has been written; a picture for a folder
when it is renamed into place. A proxy in front of the broker notes when each PUBLISH comes.
"""

import bisect
import datetime
import json
import os
import queue
import time
from functools import partial
from pathlib import Path
from typing import Any, Literal

from edge.core.percentiles import percentile, spread
from edge.core.terms import Durability
from edge_bench.aggregate import median
from edge_bench.camera_server import CameraServer, Sent
from edge_bench.daemon_config import Setting, cameras, result_topic
from edge_bench.plan import LEVELS
from edge_bench.proxy import Proxy, Stamp
from edge_bench.rig import Rig
from edge_bench.rounds import InvalidRunError, Rounds

Source = Literal["http", "folder"]
SOURCES: tuple[Source, ...] = ("http", "folder")
_PATIENCE_S = 120.0
_PAGE, _FLUSHES = 4096, 40  # bytes, times a round
_WARM = 5  # the first verdicts of a new process
_BEFORE_S = 0.02  # the camera's process may see the last byte before the server's thread runs on


def measure(rig: Rig, rounds: Rounds) -> list[dict[str, Any]]:
    """For each source and durability: milliseconds over all rounds, beside the bare work's."""
    plan = rig.plan
    pictures, interpreter = rig.pictures(plan.live_size), plan.interpreters[0]
    cells: dict[tuple[Source, Durability], list[list[float]]] = {
        (source, level): [] for source in SOURCES for level in LEVELS
    }
    bare: list[float] = []
    paced: list[float] = []
    flushes: list[float] = []
    for number in range(plan.rounds):
        rig.progress(f"latency, round {number + 1} of {plan.rounds}")
        quick = rig.bare(interpreter, pictures, format="jpeg", seconds=min(1.0, plan.seconds))
        slow = rig.bare(
            interpreter,
            pictures,
            format="jpeg",
            seconds=min(3.0, plan.latency_frames / plan.latency_rate),
            rate=plan.latency_rate,
        )
        bare.append(quick["frame_ms"]["p50"])
        paced.append(slow["frame_ms"]["p50"])
        flushes += flushes_ms(rig.outbox, plan.latency_rate)
        for (source, level), found in cells.items():
            what = f"latency {source} {level}, round {number + 1}"
            one = rounds.valid(what, partial(one_round, rig, source, level))
            if one is not None:
                found.append(one)
    work, paced_work = median(bare), median(paced)
    return [
        {
            "source": source,
            "durability": level,
            "size": plan.live_size,
            "rate": plan.latency_rate,
            "bare_ms": round(work, 4),
            "bare_paced_ms": round(paced_work, 4),
            "flush_ms": spread(flushes),
            **_figures([ms for one in found for ms in one], work, paced_work),
            "rounds": [spread(one) for one in found],
        }
        for (source, level), found in cells.items()
    ]


def _figures(values: list[float], work: float, paced_work: float) -> dict[str, Any]:
    if not values:
        return {"frames": 0, "ms": None, "over_bare_ms": None, "over_bare_paced_ms": None}

    def over(bare: float) -> dict[str, float]:
        return {f"p{q}": round(percentile(values, q) - bare, 4) for q in (50, 95, 99)}

    return {
        "frames": len(values),
        "ms": spread(values),
        "over_bare_ms": over(work),
        "over_bare_paced_ms": over(paced_work),
    }


def flushes_ms(folder: Path, rate: float) -> list[float]:
    """What the disk of `folder` takes to keep one page that was written, in milliseconds, at so
    many a second: whoever stores a verdict before it is sent waits at least so long."""
    page, taken = bytes(_PAGE), []
    path = folder / "flush"
    with path.open("w+b", buffering=0) as file:
        file.write(page * _FLUSHES)
        os.fsync(file.fileno())
        for number in range(_FLUSHES):
            time.sleep(1 / rate)
            begun = time.perf_counter()
            os.pwrite(file.fileno(), page, number * _PAGE)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return taken


def one_round(rig: Rig, source: Source, durability: Durability) -> list[float]:
    """Milliseconds of each frame. Raises RefusedError, InvalidRunError."""
    proxy = Proxy(rig.broker.port, result_topic(rig.config))
    try:
        run = _http if source == "http" else _folder
        return run(rig, durability, proxy)
    finally:
        proxy.close()


def _http(rig: Rig, durability: Durability, proxy: Proxy) -> list[float]:
    plan = rig.plan
    pictures = [path.read_bytes() for path in rig.pictures(plan.live_size).jpegs]
    server = CameraServer(pictures, plan.latency_rate)
    setting = Setting(cameras(server.source), plan.interpreters[0], durability=durability)
    wanted = plan.latency_frames + _WARM
    try:
        with rig.daemon(setting, port=proxy.port) as process:
            stamps: list[Stamp] = []
            process.wait_for(
                lambda: len(_collect(proxy.stamps, stamps)) >= wanted,
                f"{wanted} verdicts",
                _PATIENCE_S,
            )
    finally:
        server.close()
    return [ms for ms, _ in matched(stamps, server.sent)][_WARM:]


def matched(stamps: list[Stamp], sent: list[Sent]) -> list[tuple[float, int]]:
    """Milliseconds from sending to PUBLISH, and which picture it was, by when it was captured.

    Raises InvalidRunError for a verdict `error`, one whose picture is unknown, and two on one
    picture.
    """
    times = [one.now for one in sent]
    found: list[tuple[float, int]] = []
    for stamp in stamps:
        body = _judged(stamp)
        captured = datetime.datetime.fromisoformat(body["captured_at"]).timestamp()
        number = bisect.bisect(times, captured + _BEFORE_S) - 1
        if number < 0 or (found and found[-1][1] >= number):
            raise InvalidRunError("a verdict came whose picture is unknown")
        found.append(((stamp.at - sent[number].tick) * 1000, number))
    return found


def _folder(rig: Rig, durability: Durability, proxy: Proxy) -> list[float]:
    plan = rig.plan
    pictures = [path.read_bytes() for path in rig.pictures(plan.live_size).jpegs]
    folder = Path(rig.folder, f"drop-{time.monotonic_ns()}")
    folder.mkdir()
    camera = cameras(f"folder:{folder}")
    setting = Setting(camera, plan.interpreters[0], durability=durability)
    dropped: dict[str, float] = {}
    stamps: list[Stamp] = []
    with rig.daemon(setting, port=proxy.port) as process:
        process.wait_for(lambda: process.heard, "the daemon's first health", _PATIENCE_S)
        interval = 1 / plan.latency_rate
        due = time.monotonic()
        for number in range(plan.latency_frames + _WARM):
            name = f"{number:06}.jpg"
            part = folder / f".{name}"
            # not right after the last one: that would keep the core from who was woken by it
            time.sleep(max(0.0, due + interval / 2 - time.monotonic()))
            part.write_bytes(pictures[number % len(pictures)])
            due += interval
            time.sleep(max(0.0, due - time.monotonic()))
            dropped[name] = time.monotonic()
            os.rename(part, folder / name)  # noqa: PTH104  the stamp stands right before the call
        process.wait_for(
            lambda: len(_collect(proxy.stamps, stamps)) >= len(dropped),
            f"{len(dropped)} verdicts",
            _PATIENCE_S,
        )
    return [(stamp.at - dropped[_judged(stamp)["part"]]) * 1000 for stamp in stamps][_WARM:]


def _collect(source: "queue.SimpleQueue[Stamp]", into: list[Stamp]) -> list[Stamp]:
    while not source.empty():
        into.append(source.get())
    return into


def _judged(stamp: Stamp) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(stamp.body)
    if body["verdict"] == "error":
        raise InvalidRunError(f"a verdict is an error: {body['reason']}")
    return body
