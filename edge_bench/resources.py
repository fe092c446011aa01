"""Measures the resources of a running daemon: memory by the number of live cameras, CPU by frame
rate, and CPU and wake-ups of an idle daemon."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from edge_bench.aggregate import median
from edge_bench.camera_server import CameraServer
from edge_bench.daemon_config import Setting, cameras
from edge_bench.daemon_process import DaemonProcess
from edge_bench.listener import HealthSample
from edge_bench.process_tree import ProcessTree, wakeups_between
from edge_bench.rig import Rig
from edge_bench.rounds import InvalidRunError, Rounds

Run = dict[str, Any]
_TIMEOUT_S = 120.0
_SAMPLE_INTERVAL_S = 0.2
_SETTLE_S = 2.0  # until imports and first frames are done
_IDLE_CAMERA_RATE = 5.0


def measure_memory(rig: Rig, rounds: Rounds) -> list[Run]:
    """Steady and peak PSS of all processes of the daemon, by the number of cameras."""
    plan = rig.plan
    cells = []
    for count in plan.live_cameras:
        what = f"memory, {count} cameras"
        runs = rounds.repeat(what, plan.rounds, partial(_memory, rig, count))
        cell: Run = {"cameras": count, "size": plan.live_size, "rate": plan.memory_rate}
        for key in ("steady_mb", "steady_alone_mb", "peak_mb"):
            cell[key] = round(median([run[key] for run in runs]), 2) if runs else None
        cells.append(cell | {"rounds": runs})
    return cells


def measure_rates(rig: Rig, rounds: Rounds) -> list[Run]:
    """CPU in per cent of one core, by the frame rate of one live camera."""
    plan = rig.plan
    cells = []
    for rate in plan.rates:
        what = f"CPU at {rate:g} frames/s"
        runs = rounds.repeat(what, plan.rounds, partial(_rate, rig, rate))
        cell: Run = {"rate": rate, "size": plan.live_size}
        for key in ("cpu_percent", "frames_s"):
            cell[key] = round(median([run[key] for run in runs]), 3) if runs else None
        cells.append(cell | {"rounds": runs})
    return cells


def measure_idle(rig: Rig, rounds: Rounds) -> list[Run]:
    """CPU and wake-ups per second of an idle daemon: an empty folder, or a camera without trigger.

    The main process is also counted alone, because each picture wakes the camera process.
    """
    plan = rig.plan
    cells = []
    for source in ("folder", "trigger"):
        runs = rounds.repeat(f"idle {source}", plan.rounds, partial(_idle, rig, source))
        cell: Run = {"source": source}
        for key in ("cpu_percent", "wakeups_s", "daemon_cpu_percent", "daemon_wakeups_s"):
            cell[key] = round(median([run[key] for run in runs]), 3) if runs else None
        cells.append(cell | {"rounds": runs})
    return cells


def _memory(rig: Rig, count: int, number: int) -> Run:
    plan = rig.plan
    rig.progress(f"memory, {count} cameras, round {number + 1} of {plan.rounds}")
    with _live(rig, plan.memory_rate, count) as process:
        pss_samples: list[tuple[float, float]] = []
        until = time.monotonic() + _TIMEOUT_S
        steady_from = 0.0
        while not steady_from or time.monotonic() < steady_from + plan.memory_seconds:
            pss_samples.append((time.monotonic(), process.tree.pss_mb()))
            if not steady_from and _all_judged(process.health_samples, count):
                steady_from = time.monotonic() + _SETTLE_S
            if time.monotonic() > until:
                raise InvalidRunError(f"not all of {count} cameras became live")
            time.sleep(_SAMPLE_INTERVAL_S)
        standalone = process.tree.memory().standalone
        _refuse_errors(process.health_samples)
    steady = [mb for at, mb in pss_samples if at >= steady_from]
    return {
        "steady_mb": median(steady),
        "steady_alone_mb": standalone,
        "peak_mb": max(mb for _, mb in pss_samples),
    }


def _rate(rig: Rig, rate: float, number: int) -> Run:
    plan = rig.plan
    rig.progress(f"CPU at {rate:g} frames/s, round {number + 1} of {plan.rounds}")
    with _live(rig, rate, 1) as process:
        process.wait_for(
            lambda: _all_judged(process.health_samples, 1), "the first verdict", _TIMEOUT_S
        )
        process.wait_for(
            lambda: _seconds_since_live(process.health_samples) >= plan.rate_seconds + _SETTLE_S,
            f"{plan.rate_seconds:g} s of health messages",
            _TIMEOUT_S,
        )
        health_samples = process.health_samples
    _refuse_errors(health_samples)
    live = [one for one in health_samples if one.acked]
    first = next(one for one in live if one.received >= live[0].received + _SETTLE_S - 0.5)
    last = live[-1]
    seconds = last.received - first.received
    return {
        "cpu_percent": (last.cpu_s - first.cpu_s) * 100 / seconds,
        "frames_s": (last.acked - first.acked) / (last.measured - first.measured),
        "seconds": seconds,
    }


def _idle(rig: Rig, source: str, number: int) -> Run:
    plan = rig.plan
    rig.progress(f"idle {source}, round {number + 1} of {plan.rounds}")
    with contextlib.ExitStack() as stack:
        if source == "folder":
            folder = rig.folder / f"empty-{time.monotonic_ns()}"
            folder.mkdir()
            camera = cameras(f"folder:{folder}")
        else:
            server = CameraServer(_pictures(rig), _IDLE_CAMERA_RATE)
            stack.callback(server.close)
            camera = cameras(server.source, trigger={"kind": "request"})
        setting = Setting(camera, plan.interpreters[0], health_s=None)
        process = stack.enter_context(rig.daemon(setting))
        process.wait_for(lambda: process.health_samples, "the first health message", _TIMEOUT_S)
        process.wait_for(_deadline(_SETTLE_S), "time", _TIMEOUT_S)
        main_process = _MainProcess(process.tree.pid)
        trees = (process.tree, main_process)
        started = time.monotonic()
        before = [(tree.cpu_s(), tree.switches()) for tree in trees]
        process.wait_for(_deadline(plan.idle_seconds), "time", _TIMEOUT_S)
        after = [(tree.cpu_s(), tree.switches()) for tree in trees]
        seconds = time.monotonic() - started
        _refuse_errors(process.health_samples)
    found: Run = {"seconds": seconds}
    for name, old, new in zip(("", "daemon_"), before, after):
        found[f"{name}cpu_percent"] = (new[0] - old[0]) * 100 / seconds
        found[f"{name}wakeups_s"] = wakeups_between(old[1], new[1]) / seconds
    return found


class _MainProcess(ProcessTree):
    """The main process of the daemon, without its camera processes."""

    def pids(self) -> list[int]:
        return [self.pid]


@contextlib.contextmanager
def _live(rig: Rig, rate: float, count: int) -> Iterator[DaemonProcess]:
    """A daemon with `count` live network cameras, each at `rate` frames/s."""
    server = CameraServer(_pictures(rig), rate)
    try:
        setting = Setting(cameras(server.source, count), rig.plan.interpreters[0])
        with rig.daemon(setting) as process:
            yield process
    finally:
        server.close()


def _pictures(rig: Rig) -> list[bytes]:
    return [path.read_bytes() for path in rig.pictures(rig.plan.live_size).jpegs]


def _all_judged(health_samples: list[HealthSample], count: int) -> bool:
    """Whether every camera is live and at least `count` verdicts are acknowledged."""
    states = (
        [c["state"] for c in health_samples[-1].body["cameras"].values()] if health_samples else []
    )
    return bool(health_samples) and health_samples[-1].acked >= count and states == ["live"] * count


def _seconds_since_live(health_samples: list[HealthSample]) -> float:
    live = [one for one in health_samples if one.acked]
    return live[-1].received - live[0].received if live else 0.0


def _deadline(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def _refuse_errors(health_samples: list[HealthSample]) -> None:
    if health_samples and health_samples[-1].errors:
        raise InvalidRunError(health_samples[-1].error_text)
