"""From the start of the process to READY, and to the first verdict at the socket."""

import json
from functools import partial
from typing import Any

from edge_bench.box import ReadySocket
from edge_bench.boxconfig import Setting, cameras, result_topic
from edge_bench.cameraserver import CameraServer
from edge_bench.figures import median
from edge_bench.proxy import Proxy
from edge_bench.rounds import InvalidRunError, Rounds
from edge_bench.stand import Stand

_PATIENCE_S = 120.0
_CAMERA_RATE = 30.0


def measure(stand: Stand, rounds: Rounds) -> list[dict[str, Any]]:
    """For pictures that are played, and for a live network camera."""
    plan = stand.plan
    pictures = stand.pictures(plan.live_size)
    found = []
    server = CameraServer([path.read_bytes() for path in pictures.jpegs], _CAMERA_RATE)
    try:
        for name, source in (("replay", f"replay:{pictures.folder}"), ("http", server.source)):
            one = partial(_one_round, stand, name, source)
            runs = rounds.repeat(f"start {name}", plan.rounds, one)
            found.append({"source": name, "size": plan.live_size, **_medians(runs), "rounds": runs})
    finally:
        server.close()
    return found


def _medians(runs: list[dict[str, float]]) -> dict[str, float | None]:
    return {
        key: round(median([run[key] for run in runs]), 4) if runs else None
        for key in ("ready_s", "first_verdict_s")
    }


def _one_round(stand: Stand, name: str, source: str, number: int) -> dict[str, float]:
    stand.progress(f"start {name}, round {number + 1} of {stand.plan.rounds}")
    proxy = Proxy(stand.broker.port, result_topic(stand.config))
    ready = ReadySocket(stand.folder / "notify")
    setting = Setting(cameras(source), stand.plan.interpreters[0])
    try:
        with stand.daemon(setting, port=proxy.port, notify=ready.path) as box:
            box.wait_for(ready.heard, "READY", _PATIENCE_S)
            box.wait_for(lambda: not proxy.stamps.empty(), "the first verdict", _PATIENCE_S)
            first = proxy.stamps.get()
            started = box.started
    finally:
        ready.close()
        proxy.close()
    if json.loads(first.body)["verdict"] == "error":
        raise InvalidRunError("the first verdict is an error")
    assert ready.ready_at is not None
    return {"ready_s": ready.ready_at - started, "first_verdict_s": first.at - started}
