"""Measures the time from process start to READY and to the first verdict at the socket."""

import json
from functools import partial
from typing import Any

from edge_bench.aggregate import median
from edge_bench.camera_server import CameraServer
from edge_bench.daemon_config import Setting, cameras, result_topic
from edge_bench.daemon_process import ReadySocket
from edge_bench.proxy import Proxy
from edge_bench.rig import Rig
from edge_bench.rounds import InvalidRunError, Rounds

_TIMEOUT_S = 120.0
_CAMERA_RATE = 30.0


def measure(rig: Rig, rounds: Rounds) -> list[dict[str, Any]]:
    """Start times with replayed pictures and with a live network camera."""
    plan = rig.plan
    pictures = rig.pictures(plan.live_size)
    found = []
    server = CameraServer([path.read_bytes() for path in pictures.jpegs], _CAMERA_RATE)
    try:
        for name, source in (("replay", f"replay:{pictures.folder}"), ("http", server.source)):
            one = partial(_one_round, rig, name, source)
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


def _one_round(rig: Rig, name: str, source: str, number: int) -> dict[str, float]:
    rig.progress(f"start {name}, round {number + 1} of {rig.plan.rounds}")
    proxy = Proxy(rig.broker.port, result_topic(rig.config))
    ready = ReadySocket(rig.folder / "notify")
    setting = Setting(cameras(source), rig.plan.interpreters[0])
    try:
        with rig.daemon(setting, port=proxy.port, notify=ready.path) as process:
            process.wait_for(ready.is_ready, "READY", _TIMEOUT_S)
            process.wait_for(lambda: not proxy.stamps.empty(), "the first verdict", _TIMEOUT_S)
            first = proxy.stamps.get()
            started = process.started
    finally:
        ready.close()
        proxy.close()
    if json.loads(first.body)["verdict"] == "error":
        raise InvalidRunError("the first verdict is an error")
    assert ready.ready_at is not None
    return {"ready_s": ready.ready_at - started, "first_verdict_s": first.at - started}
