"""Frames a second and CPU a frame: the whole daemon, the bare work and the plain script, in turns.

What counts for the daemon is what was stored, sent with QoS 1 and acknowledged, between two of its
own `health` messages while all its cameras play.
"""

import math
from typing import Any

from edge.bench.boxconfig import Setting, cameras
from edge.bench.child import Answer
from edge.bench.figures import median, median_ratio
from edge.bench.listener import Hearing
from edge.bench.plan import Format
from edge.bench.rounds import InvalidRunError, Rounds, TooShortError
from edge.bench.stand import Stand
from edge.terms import Runtime

Run = dict[str, Any]
_PATIENCE_S = 240.0
_SURPLUS_S = 1.2  # before and after the seconds that count
_FASTER = 1.3  # than the bare loop, when it decodes and judges side by side
_PACED = 0.6  # of the most that a raw camera was judged at
_QUICK_CAMERA = 1000.0  # frames/s: more than can be judged


def measure(stand: Stand, rounds: Rounds) -> list[dict[str, Any]]:
    """A cell for each size, format and interpreter; raw pictures by the first interpreter only."""
    cells = []
    for number, interpreter in enumerate(stand.plan.interpreters):
        for size in stand.plan.sizes:
            for form in stand.plan.formats:
                if form == "yuyv" and (number or stand.pictures(size).raw is None):
                    continue
                cell = Cell(stand, size, form, interpreter)
                what = f"throughput {size} {form} {interpreter}"
                runs = rounds.repeat(what, stand.plan.rounds, cell.one_round)
                cells.append(cell.summary(runs))
    return cells


class Cell:
    """One size in one format under one interpreter, by every way to work."""

    def __init__(self, stand: Stand, size: str, form: Format, interpreter: Runtime) -> None:
        self._stand, self._plan = stand, stand.plan
        self._pictures = stand.pictures(size)
        self._size, self._form, self._interpreter = size, form, interpreter
        self._workers = stand.plan.workers if form == "jpeg" else (1,)
        self._fps: dict[int, float] = {}  # of the daemon, by workers, in the round before
        self._reduced = 1  # by what both sides of a JPEG are divided when it is decoded

    def one_round(self, number: int) -> Run:
        """Bare, daemon, plain script, one after the other. Raises RefusedError."""
        self._stand.progress(
            f"throughput {self._size} {self._form} {self._interpreter}, round {number + 1} of "
            f"{self._plan.rounds}"
        )
        seconds = self._plan.seconds
        bare = self._stand.bare(
            self._interpreter, self._pictures, format=self._form, seconds=seconds
        )
        found: Run = {"bare": _rates(bare), "daemon": {}, "by_hand": None}
        self._reduced = bare["reduced"]
        for workers in self._workers:
            found["daemon"][workers] = (
                self.replayed(workers, found["bare"]["fps"])
                if self._form == "jpeg"
                else self._raw()
            )
        if self._form == "jpeg":
            done = self._stand.by_hand(bare["runtime"], self._pictures, seconds)
            found["by_hand"] = _rates(done)
        return found

    def replayed(self, workers: int, bare_fps: float) -> Run:
        """`workers` replay cameras, every picture of which must be acknowledged. `bare_fps` is how
        many frames/s to expect of one. Raises RefusedError."""
        expected = self._fps.get(workers, bare_fps * _FASTER * workers)
        for surplus in (1, 2):
            try:
                run = self._replay(workers, expected * surplus * (self._plan.seconds + _SURPLUS_S))
                break
            except TooShortError:  # quicker than the round before
                if surplus > 1:
                    raise
        self._fps[workers] = run["fps"]
        return run

    def _replay(self, workers: int, wanted: float) -> Run:
        files = len(self._pictures.jpegs)
        loop = max(1, math.ceil(wanted / files / workers))
        frames = loop * files * workers
        played = cameras(f"replay:{self._pictures.folder}", workers, loop=loop)
        listener = self._stand.listener
        with self._stand.daemon(Setting(played, self._interpreter, workers)) as box:
            box.wait_for(
                lambda: listener.heard and listener.heard[-1].acked >= frames,
                f"the last of {frames} acknowledgements",
                _PATIENCE_S,
            )
            heard = listener.heard
        return steady(heard, frames)

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
        listener, seconds = self._stand.listener, self._plan.seconds
        setting = Setting(camera, self._interpreter)
        with self._stand.daemon(setting, module="edge.bench.rawdaemon") as box:
            box.wait_for(
                lambda: _lasted_s(listener.heard) >= seconds,
                f"{seconds:g} s of acknowledgements",
                _PATIENCE_S,
            )
            heard = listener.heard
            stored, acked, waiting = box.stop()
        if stored != acked or waiting:
            raise InvalidRunError(
                f"{stored} verdicts were stored, {acked} acknowledged, {waiting} wait"
            )
        return steady(heard, None)

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
            "daemon": [],
            "rounds": [{**run, "daemon": list(run["daemon"].values())} for run in runs],
        }
        if not runs:
            return cell
        bare = [run["bare"] for run in runs]
        cell["bare"] = _medians(bare)
        by_hand = [run["by_hand"] for run in runs]
        if self._form == "jpeg":
            cell["by_hand"] = _medians(by_hand)
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


def steady(heard: list[Hearing], frames: int | None) -> Run:
    """Rates between the first `health` with an acknowledgement and the last while every camera
    still played. `frames`: so many must all have been read, judged and acknowledged; None: of a
    live camera, whose pictures may make way for newer ones.

    Raises InvalidRunError for a run that is no measurement.
    """
    last = heard[-1]
    if last.errors:
        raise InvalidRunError(last.what_went_wrong)
    if not last.body["decoding"]["reduced"]:
        raise InvalidRunError(
            "these pictures get other verdicts at reduced scale, so the daemon decoded them whole; "
            "measure with --pictures of your cameras, or set model.decoding: whole"
        )
    if frames is not None and not (last.frames == last.verdicts == last.acked == frames):
        raise InvalidRunError(
            f"of {frames} pictures {last.frames} were read, {last.verdicts} judged, "
            f"{last.acked} acknowledged"
        )
    playing = [
        one
        for one in heard
        if one.acked and all(c["state"] == "live" for c in one.body["cameras"].values())
    ]
    if len(playing) < 2:
        raise TooShortError("it was over before two health messages came; raise --seconds")
    first, end = playing[0], playing[-1]
    acked = end.acked - first.acked
    if acked <= 0:
        raise InvalidRunError("nothing was acknowledged for a second")
    return {
        "fps": acked / (end.measured - first.measured),
        "cpu_ms": (end.cpu_s - first.cpu_s) * 1000 / acked,
        "seconds": end.measured - first.measured,
        "frames": last.frames,
        "skipped": end.skipped - first.skipped,
        "stages_ms": dict(last.body["latency_ms"]),
    }


def _lasted_s(heard: list[Hearing]) -> float:
    acked = [one for one in heard if one.acked]
    return acked[-1].measured - acked[0].measured if acked else 0.0


def _rates(answer: Answer) -> Run:
    return {
        "fps": answer["frames"] / answer["seconds"],
        "cpu_ms": answer["cpu_s"] * 1000 / answer["frames"],
        "frames": answer["frames"],
        "seconds": answer["seconds"],
        "stages_ms": answer["stages_ms"],
    }


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
