"""Measures the time from an available frame to its PUBLISH at the socket, at a low steady rate.

The frame of a network camera is available when its last byte is written; a picture of a folder when
it is renamed into place. A proxy in front of the broker records when each PUBLISH arrives.
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
from edge_bench.camera_server import CameraServer, SentPicture
from edge_bench.daemon_config import Setting, cameras, result_topic
from edge_bench.plan import LEVELS
from edge_bench.proxy import Proxy, PublishStamp
from edge_bench.rig import Rig
from edge_bench.rounds import InvalidRunError, Rounds

Source = Literal["http", "folder"]
SOURCES: tuple[Source, ...] = ("http", "folder")
_TIMEOUT_S = 120.0
_PAGE_BYTES, _FLUSHES = 4096, 40  # flushes per round
_WARM_UP_FRAMES = 5  # verdicts of a new process
_MAX_EARLY_S = 0.02  # the daemon may see the last byte before the server's thread continues


def measure(rig: Rig, rounds: Rounds) -> list[dict[str, Any]]:
    """The latency for each source and durability, in ms over all rounds, with the bare work."""
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
        full_speed = rig.bare(interpreter, pictures, format="jpeg", seconds=min(1.0, plan.seconds))
        at_rate = rig.bare(
            interpreter,
            pictures,
            format="jpeg",
            seconds=min(3.0, plan.latency_frames / plan.latency_rate),
            rate=plan.latency_rate,
        )
        bare.append(full_speed["frame_ms"]["p50"])
        paced.append(at_rate["frame_ms"]["p50"])
        flushes += flushes_ms(rig.outbox, plan.latency_rate)
        for (source, level), found in cells.items():
            what = f"latency {source} {level}, round {number + 1}"
            one = rounds.attempt(what, partial(measure_round, rig, source, level))
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
    """Milliseconds that the disk of `folder` needs to make one written page durable.

    `rate` is flushes per second. This is the minimum cost of storing a verdict before sending it.
    """
    page, milliseconds = bytes(_PAGE_BYTES), []
    path = folder / "flush"
    with path.open("w+b", buffering=0) as file:
        file.write(page * _FLUSHES)
        os.fsync(file.fileno())
        for number in range(_FLUSHES):
            time.sleep(1 / rate)
            started = time.perf_counter()
            os.pwrite(file.fileno(), page, number * _PAGE_BYTES)
            os.fdatasync(file.fileno())
            milliseconds.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return milliseconds


def measure_round(rig: Rig, source: Source, durability: Durability) -> list[float]:
    """The milliseconds of each frame. Raises RefusedError, InvalidRunError."""
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
    wanted = plan.latency_frames + _WARM_UP_FRAMES
    try:
        with rig.daemon(setting, port=proxy.port) as process:
            stamps: list[PublishStamp] = []
            process.wait_for(
                lambda: len(_drain(proxy.stamps, stamps)) >= wanted,
                f"{wanted} verdicts",
                _TIMEOUT_S,
            )
    finally:
        server.close()
    return [ms for ms, _ in match_pictures(stamps, server.sent)][_WARM_UP_FRAMES:]


def match_pictures(stamps: list[PublishStamp], sent: list[SentPicture]) -> list[tuple[float, int]]:
    """Milliseconds from sending to PUBLISH, and the index of the picture by its capture time.

    Raises InvalidRunError for a verdict `error`, a verdict without a picture, and two verdicts on
    one picture.
    """
    times = [one.epoch_s for one in sent]
    found: list[tuple[float, int]] = []
    for stamp in stamps:
        body = _verdict_body(stamp)
        captured = datetime.datetime.fromisoformat(body["captured_at"]).timestamp()
        number = bisect.bisect(times, captured + _MAX_EARLY_S) - 1
        if number < 0 or (found and found[-1][1] >= number):
            raise InvalidRunError("the picture of a verdict is unknown")
        found.append(((stamp.at - sent[number].monotonic_s) * 1000, number))
    return found


def _folder(rig: Rig, durability: Durability, proxy: Proxy) -> list[float]:
    plan = rig.plan
    pictures = [path.read_bytes() for path in rig.pictures(plan.live_size).jpegs]
    folder = Path(rig.folder, f"drop-{time.monotonic_ns()}")
    folder.mkdir()
    camera = cameras(f"folder:{folder}")
    setting = Setting(camera, plan.interpreters[0], durability=durability)
    dropped: dict[str, float] = {}
    stamps: list[PublishStamp] = []
    with rig.daemon(setting, port=proxy.port) as process:
        process.wait_for(lambda: process.health_samples, "the daemon's first health", _TIMEOUT_S)
        interval = 1 / plan.latency_rate
        due = time.monotonic()
        for number in range(plan.latency_frames + _WARM_UP_FRAMES):
            name = f"{number:06}.jpg"
            hidden = folder / f".{name}"
            # not right after the last rename: that would take the core from the woken daemon
            time.sleep(max(0.0, due + interval / 2 - time.monotonic()))
            hidden.write_bytes(pictures[number % len(pictures)])
            due += interval
            time.sleep(max(0.0, due - time.monotonic()))
            dropped[name] = time.monotonic()
            os.rename(hidden, folder / name)  # noqa: PTH104  the time is taken right before the call
        process.wait_for(
            lambda: len(_drain(proxy.stamps, stamps)) >= len(dropped),
            f"{len(dropped)} verdicts",
            _TIMEOUT_S,
        )
    return [(stamp.at - dropped[_verdict_body(stamp)["part"]]) * 1000 for stamp in stamps][
        _WARM_UP_FRAMES:
    ]


def _drain(
    source: "queue.SimpleQueue[PublishStamp]", into: list[PublishStamp]
) -> list[PublishStamp]:
    while not source.empty():
        into.append(source.get())
    return into


def _verdict_body(stamp: PublishStamp) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(stamp.body)
    if body["verdict"] == "error":
        raise InvalidRunError(f"a verdict is an error: {body['reason']}")
    return body
