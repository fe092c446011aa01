"""Frames/s and CPU per frame: the whole daemon, the bare work and the baseline script, in turns.

For the daemon, a frame counts when its verdict is stored, sent with QoS 1 and acknowledged, between
two health messages while all cameras are live.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from edge.core.terms import Runtime
from edge_bench.aggregate import median, median_ratio
from edge_bench.daemon_config import Setting, cameras
from edge_bench.interleave import (
    Candidate,
    DaemonCandidate,
    LoopCandidate,
    Run,
    interleave,
    refuse_faults,
    refuse_losses,
    warmed_up,
)
from edge_bench.listener import HealthSample
from edge_bench.plan import Format
from edge_bench.rig import Rig
from edge_bench.rounds import InvalidRunError, Rounds
from edge_bench.worker_pipe import WorkerPipe

_TIMEOUT_S = 240.0
_PACED_SHARE = 0.6  # of the highest rate of a raw camera
_REPLAY_LOOPS = 1_000_000  # practically endless
_KEYS = ("fps", "cpu_ms", "frames", "seconds", "skipped", "stages_ms")  # of a run, for the report
_FAST_CAMERA_FPS = 1000.0  # frames/s: more than the daemon can judge


def measure(rig: Rig, rounds: Rounds) -> list[dict[str, Any]]:
    """One cell per size, format and interpreter. Raw pictures use only the first interpreter."""
    cells = []
    for number, interpreter in enumerate(rig.plan.interpreters):
        for size in rig.plan.sizes:
            for form in rig.plan.formats:
                if form == "yuyv" and (number or rig.pictures(size).raw is None):
                    continue
                cell = Cell(rig, size, form, interpreter)
                what = f"throughput {size} {form} {interpreter}"
                runs = rounds.repeat(what, rig.plan.rounds, cell.one_round)
                cells.append(cell.summary(runs))
    return cells


class Cell:
    """The measurements of one size, format and interpreter, with all candidates."""

    def __init__(self, rig: Rig, size: str, form: Format, interpreter: Runtime) -> None:
        self._rig, self._plan = rig, rig.plan
        self._pictures = rig.pictures(size)
        self._size, self._form, self._interpreter = size, form, interpreter
        self._workers = rig.plan.workers if form == "jpeg" else (1,)
        self._side_by_side = loop_counts(self._workers)
        self._reduced = 1  # the divisor of both sides of a JPEG at decoding

    def one_round(self, number: int) -> Run:
        """Measures all candidates in turns.

        With a raw camera they run one after the other, because the camera cannot pause. Raises
        RefusedError.
        """
        self._rig.progress(
            f"throughput {self._size} {self._form} {self._interpreter}, round {number + 1} of "
            f"{self._plan.rounds}"
        )
        return self._in_turns() if self._form == "jpeg" else self._one_by_one()

    def _in_turns(self) -> Run:
        rig, candidates = self._rig, dict[tuple[str, int], Candidate]()
        with contextlib.ExitStack() as stack:

            def loops(*pipes: WorkerPipe) -> LoopCandidate:
                return LoopCandidate(
                    [stack.enter_context(contextlib.closing(pipe)) for pipe in pipes]
                )

            def bare(count: int) -> LoopCandidate:
                one = partial(rig.bare_loop, self._interpreter, self._pictures)
                return loops(*(one() for _ in range(count)))

            for count in (1, *self._side_by_side):
                candidates["bare", count] = warmed_up(bare(count))
            script = rig.baseline_script(self._interpreter, self._pictures)
            candidates["by_hand", 1] = warmed_up(loops(script))
            for workers in self._workers:  # last, because they pause while others start
                daemon = stack.enter_context(self.replaying_daemon(workers))
                candidates["daemon", workers] = warmed_up(daemon)
            runs = interleave(list(candidates.values()), self._plan.seconds)
        found = dict(zip(candidates, runs))
        self._reduced = found["bare", 1]["reduced"]
        figures = {
            key: {name: run[name] for name in _KEYS if name in run} for key, run in found.items()
        }
        return {
            "bare": figures["bare", 1],
            "side_by_side": {count: figures["bare", count] for count in self._side_by_side},
            "daemon": {workers: figures["daemon", workers] for workers in self._workers},
            "by_hand": figures["by_hand", 1],
        }

    @contextlib.contextmanager
    def replaying_daemon(self, workers: int) -> Iterator[DaemonCandidate]:
        """A daemon with `workers` workers and as many cameras that replay JPEGs."""
        setting = Setting(
            cameras(f"replay:{self._pictures.folder}", workers, loop=_REPLAY_LOOPS),
            self._interpreter,
            workers,
            station=f"bench-{workers}",
        )
        with self._rig.daemon(setting) as process:
            yield DaemonCandidate(process)

    def _one_by_one(self) -> Run:
        bare = self._rig.bare(
            self._interpreter, self._pictures, format=self._form, seconds=self._plan.seconds
        )
        return {
            "bare": {
                "fps": bare["frames"] / bare["seconds"],
                "cpu_ms": bare["cpu_s"] * 1000 / bare["frames"],
                **{key: bare[key] for key in ("frames", "seconds", "stages_ms")},
            },
            "side_by_side": {},
            "daemon": {workers: self._measure_raw() for workers in self._workers},
            "by_hand": None,
        }

    def _measure_raw(self) -> Run:
        """Measures a raw camera at full speed, then CPU at a rate that the daemon can keep up with.

        At full speed, a replaced frame costs CPU but gives no verdict.
        """
        full_speed = self._run_raw(_FAST_CAMERA_FPS)
        paced = self._run_raw(max(1.0, min(_FAST_CAMERA_FPS, _PACED_SHARE * full_speed["fps"])))
        return full_speed | {"cpu_ms": paced["cpu_ms"], "paced_fps": paced["fps"]}

    def _run_raw(self, fps: float) -> Run:
        pictures = self._pictures
        camera = cameras(
            f"v4l2:{pictures.raw}",
            width=pictures.width,
            height=pictures.height,
            fps=round(fps, 3),
            pixel_format="YUYV",
        )
        seconds = self._plan.seconds
        setting = Setting(camera, self._interpreter)
        with self._rig.daemon(setting, module="edge_bench.raw_daemon") as process:
            process.wait_for(
                lambda: _measured_seconds(process.health_samples) >= seconds,
                f"{seconds:g} s of acknowledgements",
                _TIMEOUT_S,
            )
            health_samples = process.health_samples
            refuse_losses(*process.stop())
        return steady_rates(health_samples)

    def summary(self, runs: list[Run]) -> dict[str, Any]:
        """The medians, and the figures of each round."""
        cell: dict[str, Any] = {
            "size": self._size,
            "width": self._pictures.width,
            "height": self._pictures.height,
            "format": self._form,
            "interpreter": self._interpreter,
            "reduced": self._reduced,
            "bare": None,
            "by_hand": None,
            "side_by_side": [],
            "daemon": [],
            "rounds": [
                {
                    **run,
                    "side_by_side": list(run["side_by_side"].values()),
                    "daemon": list(run["daemon"].values()),
                }
                for run in runs
            ],
        }
        if not runs:
            return cell
        bare = [run["bare"] for run in runs]
        cell["bare"] = _medians(bare)
        by_hand = [run["by_hand"] for run in runs]
        if self._form == "jpeg":
            cell["by_hand"] = _medians(by_hand)
        for count in self._side_by_side:
            cell_runs = [run["side_by_side"][count] for run in runs]
            cell["side_by_side"].append(
                _medians(cell_runs)
                | {"loops": count, "fps_to_bare": _ratio(cell_runs, bare, "fps")}
            )
        one = [run["daemon"][self._workers[0]] for run in runs]
        for workers in self._workers:
            cell_runs = [run["daemon"][workers] for run in runs]
            cell["daemon"].append(
                _medians(cell_runs)
                | {
                    "workers": workers,
                    "frames": sum(run["frames"] for run in cell_runs),
                    "skipped": sum(run["skipped"] for run in cell_runs),
                    "fps_to_bare": _ratio(cell_runs, bare, "fps"),
                    "cpu_to_bare": _ratio(cell_runs, bare, "cpu_ms"),
                    "fps_to_by_hand": _ratio(cell_runs, by_hand, "fps")
                    if self._form == "jpeg"
                    else None,
                    "fps_to_first": _ratio(cell_runs, one, "fps"),
                }
            )
        return cell


def loop_counts(workers: Sequence[int]) -> list[int]:
    """The numbers of bare loops to measure side by side, each in its own process.

    The same numbers as workers, without 1 and without numbers above the number of cores.
    """
    cores = len(os.sched_getaffinity(0))
    return [count for count in workers if 1 < count <= cores]


def steady_rates(health_samples: list[HealthSample]) -> Run:
    """The rates of a daemon with a live camera.

    They are measured between the first health message with an acknowledgement and the last one
    with a live camera. Raises InvalidRunError for an invalid run.
    """
    refuse_faults(health_samples[-1])
    with_live_cameras = [
        one
        for one in health_samples
        if one.acked and all(c["state"] == "live" for c in one.body["cameras"].values())
    ]
    if len(with_live_cameras) < 2:
        raise InvalidRunError("fewer than two health messages came; raise --seconds")
    first, end = with_live_cameras[0], with_live_cameras[-1]
    acked = end.acked - first.acked
    if acked <= 0:
        raise InvalidRunError("no verdict was acknowledged for a second")
    return {
        "fps": acked / (end.measured - first.measured),
        "cpu_ms": (end.cpu_s - first.cpu_s) * 1000 / acked,
        "seconds": end.measured - first.measured,
        "frames": health_samples[-1].acked,
        "skipped": end.skipped - first.skipped,
        "stages_ms": dict(health_samples[-1].body["latency_ms"]),
    }


def _measured_seconds(health_samples: list[HealthSample]) -> float:
    acked = [one for one in health_samples if one.acked]
    return acked[-1].measured - acked[0].measured if acked else 0.0


def _medians(runs: list[Run]) -> Run:
    stages = {name: name for run in runs for name in run["stages_ms"]}
    return {
        "fps": median([run["fps"] for run in runs]),
        "cpu_ms": median([run["cpu_ms"] for run in runs]),
        "stages_ms": {
            name: {
                q: median([run["stages_ms"][name][q] for run in runs if name in run["stages_ms"]])
                for q in ("p50", "p95", "p99")
            }
            for name in stages
        },
    }


def _ratio(over: list[Run], under: list[Run], key: str) -> float:
    return median_ratio([run[key] for run in over], [run[key] for run in under])
