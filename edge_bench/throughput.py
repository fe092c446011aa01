"""Frames a second and CPU a frame: the whole daemon, the bare work and the plain script, in turns.

What counts for the daemon is what was stored, sent with QoS 1 and acknowledged, between two of its
own `health` messages while all its cameras play.
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
    Daemon,
    Loops,
    Run,
    interleave,
    refuse_faults,
    refuse_losses,
    warmed,
)
from edge_bench.listener import HealthSample
from edge_bench.plan import Format
from edge_bench.rig import Rig
from edge_bench.rounds import InvalidRunError, Rounds
from edge_bench.worker_pipe import WorkerPipe

_PATIENCE_S = 240.0
_PACED = 0.6  # of the most that a raw camera was judged at
_LOOP = 1_000_000  # times that the pictures are played: for ever
_KEYS = ("fps", "cpu_ms", "frames", "seconds", "skipped", "stages_ms")  # of a run in the report
_QUICK_CAMERA = 1000.0  # frames/s: more than can be judged


def measure(rig: Rig, rounds: Rounds) -> list[dict[str, Any]]:
    """A cell for each size, format and interpreter; raw pictures by the first interpreter only."""
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
    """One size in one format under one interpreter, by every way to work."""

    def __init__(self, rig: Rig, size: str, form: Format, interpreter: Runtime) -> None:
        self._rig, self._plan = rig, rig.plan
        self._pictures = rig.pictures(size)
        self._size, self._form, self._interpreter = size, form, interpreter
        self._workers = rig.plan.workers if form == "jpeg" else (1,)
        self._side_by_side = at_once(self._workers)
        self._reduced = 1  # by what both sides of a JPEG are divided when it is decoded

    def one_round(self, number: int) -> Run:
        """All ways to work, in turns; of a raw camera one after the other, since it goes on sending
        while nobody takes its pictures. Raises RefusedError."""
        self._rig.progress(
            f"throughput {self._size} {self._form} {self._interpreter}, round {number + 1} of "
            f"{self._plan.rounds}"
        )
        return self._in_turns() if self._form == "jpeg" else self._one_by_one()

    def _in_turns(self) -> Run:
        rig, candidates = self._rig, dict[tuple[str, int], Candidate]()
        with contextlib.ExitStack() as stack:

            def loops(*pipes: WorkerPipe) -> Loops:
                return Loops([stack.enter_context(contextlib.closing(pipe)) for pipe in pipes])

            def bare(count: int) -> Loops:
                one = partial(rig.bare_loop, self._interpreter, self._pictures)
                return loops(*(one() for _ in range(count)))

            for count in (1, *self._side_by_side):
                candidates["bare", count] = warmed(bare(count))
            script = rig.by_hand(self._interpreter, self._pictures)
            candidates["by_hand", 1] = warmed(loops(script))
            for workers in self._workers:  # last, since they are stopped while others start
                daemon = stack.enter_context(self.playing(workers))
                candidates["daemon", workers] = warmed(daemon)
            runs = interleave(list(candidates.values()), self._plan.seconds)
        found = dict(zip(candidates, runs))
        self._reduced = found["bare", 1]["reduced"]
        said = {
            key: {name: run[name] for name in _KEYS if name in run} for key, run in found.items()
        }
        return {
            "bare": said["bare", 1],
            "side_by_side": {count: said["bare", count] for count in self._side_by_side},
            "daemon": {workers: said["daemon", workers] for workers in self._workers},
            "by_hand": said["by_hand", 1],
        }

    @contextlib.contextmanager
    def playing(self, workers: int) -> Iterator[Daemon]:
        """A daemon of so many workers, with as many cameras that play JPEGs, for `interleave`."""
        setting = Setting(
            cameras(f"replay:{self._pictures.folder}", workers, loop=_LOOP),
            self._interpreter,
            workers,
            station=f"bench-{workers}",
        )
        with self._rig.daemon(setting) as process:
            yield Daemon(process)

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
            "daemon": {workers: self._raw() for workers in self._workers},
            "by_hand": None,
        }

    def _raw(self) -> Run:
        """A raw camera, first as quick as can be, then at a pace that can be kept: a picture that
        made way for a newer one has cost CPU too, but brought no verdict."""
        quickest = self._raw_at(_QUICK_CAMERA)
        paced = self._raw_at(max(1.0, min(_QUICK_CAMERA, _PACED * quickest["fps"])))
        return quickest | {"cpu_ms": paced["cpu_ms"], "paced_fps": paced["fps"]}

    def _raw_at(self, fps: float) -> Run:
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
                lambda: _lasted_s(process.heard) >= seconds,
                f"{seconds:g} s of acknowledgements",
                _PATIENCE_S,
            )
            heard = process.heard
            refuse_losses(*process.stop())
        return steady(heard)

    def summary(self, runs: list[Run]) -> dict[str, Any]:
        """The medians, and the rounds as they were."""
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
            these = [run["side_by_side"][count] for run in runs]
            cell["side_by_side"].append(
                _medians(these) | {"loops": count, "fps_to_bare": _ratio(these, bare, "fps")}
            )
        one = [run["daemon"][self._workers[0]] for run in runs]
        for workers in self._workers:
            these = [run["daemon"][workers] for run in runs]
            cell["daemon"].append(
                _medians(these)
                | {
                    "workers": workers,
                    "frames": sum(run["frames"] for run in these),
                    "skipped": sum(run["skipped"] for run in these),
                    "fps_to_bare": _ratio(these, bare, "fps"),
                    "cpu_to_bare": _ratio(these, bare, "cpu_ms"),
                    "fps_to_by_hand": _ratio(these, by_hand, "fps")
                    if self._form == "jpeg"
                    else None,
                    "fps_to_first": _ratio(these, one, "fps"),
                }
            )
        return cell


def at_once(workers: Sequence[int]) -> list[int]:
    """How many bare loops are measured side by side, each a process of its own: as many as there
    are workers, but where that is one, or more than there are cores to run on."""
    cores = len(os.sched_getaffinity(0))
    return [count for count in workers if 1 < count <= cores]


def steady(heard: list[HealthSample]) -> Run:
    """Rates of a live camera's daemon, between the first `health` with an acknowledgement and the
    last while the camera was there. Raises InvalidRunError for a run that is no measurement."""
    refuse_faults(heard[-1])
    playing = [
        one
        for one in heard
        if one.acked and all(c["state"] == "live" for c in one.body["cameras"].values())
    ]
    if len(playing) < 2:
        raise InvalidRunError("it was over before two health messages came; raise --seconds")
    first, end = playing[0], playing[-1]
    acked = end.acked - first.acked
    if acked <= 0:
        raise InvalidRunError("nothing was acknowledged for a second")
    return {
        "fps": acked / (end.measured - first.measured),
        "cpu_ms": (end.cpu_s - first.cpu_s) * 1000 / acked,
        "seconds": end.measured - first.measured,
        "frames": heard[-1].acked,
        "skipped": end.skipped - first.skipped,
        "stages_ms": dict(heard[-1].body["latency_ms"]),
    }


def _lasted_s(heard: list[HealthSample]) -> float:
    acked = [one for one in heard if one.acked]
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
