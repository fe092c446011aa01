"""Interleaves the candidates of a comparison in turns of 0.4 s; one works while the others rest.

On many machines a core changes its speed by half within seconds. Candidates that are measured one
after the other would show that as a difference. Interleaved, all meet the same cores.
"""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from edge_bench.daemon_process import DaemonProcess
from edge_bench.listener import HealthSample
from edge_bench.rounds import InvalidRunError
from edge_bench.worker_pipe import Answer, WorkerPipe

Run = dict[str, Any]  # of docs/schema/bench.schema.json
TURN_S = 0.4
_LEAST_TURNS = 3  # of a daemon those between its first and last health count
_WARM_HEALTHS = 3  # with acknowledgements: two seconds at full speed
_PATIENCE_S = 240.0
_MAY_WAIT = 40  # pictures of a camera that are read and not judged yet: in its mailbox, and in hand


class Candidate(ABC):
    """One side of a comparison. It rests until its turn comes."""

    @abstractmethod
    def warm(self) -> None:
        """Reaches its usual speed, and rests. Raises RefusedError."""

    @abstractmethod
    def turn(self, seconds: float) -> None:
        """Works for `seconds`."""

    @abstractmethod
    def run(self) -> Run:
        """Ends, and returns what it did in its turns. Raises RefusedError, InvalidRunError."""


C = TypeVar("C", bound=Candidate)


def warmed(candidate: C) -> C:
    """Returns the candidate at its usual speed. Raises RefusedError."""
    candidate.warm()
    return candidate


def interleave(candidates: Sequence[Candidate], seconds: float) -> list[Run]:
    """Each candidate, already warm, works `seconds` in all, in at least three turns. Raises as
    `Candidate`.

    The order is drawn for each round of turns: a machine that is slow every two seconds would
    otherwise slow only one of them."""
    order = list(candidates)
    for _ in range(max(_LEAST_TURNS, round(seconds / TURN_S))):
        random.shuffle(order)
        for one in order:
            one.turn(TURN_S)
    return [one.run() for one in candidates]


class Loops(Candidate):
    """Worker processes side by side: each word over a `WorkerPipe` is the seconds to work."""

    def __init__(self, pipes: Sequence[WorkerPipe]) -> None:
        """At least one, just started."""
        self._pipes = pipes
        self._turns: list[list[Answer]] = [[] for _ in pipes]  # of each

    def warm(self) -> None:
        """Each has judged some pictures when it first answers."""
        for pipe in self._pipes:
            pipe.hear()

    def turn(self, seconds: float) -> None:
        """All of them at once."""
        for pipe in self._pipes:
            pipe.say(seconds)
        for pipe, turns in zip(self._pipes, self._turns):
            turns.append(pipe.hear())

    def run(self) -> Run:
        """Frames/s of all together; stages are those of the first."""
        self._pipes[0].say(None)
        frames = [sum(turn["frames"] for turn in turns) for turns in self._turns]
        seconds = [sum(turn["seconds"] for turn in turns) for turns in self._turns]
        cpu_s = sum(turn["cpu_s"] for turns in self._turns for turn in turns)
        return {
            "fps": sum(count / s for count, s in zip(frames, seconds)),
            "cpu_ms": cpu_s * 1000 / sum(frames),
            "frames": sum(frames),
            "seconds": seconds[0],
            **self._pipes[0].hear(),
        }


class Daemon(Candidate):
    """The whole daemon, which plays JPEGs as fast as it can. Its process is stopped while it
    rests, which costs pictures of files nothing: they have no deadline. Its stages are of the time
    before its first turn, since a picture that was stopped under way has waited for the others."""

    def __init__(self, process: DaemonProcess) -> None:
        """Just started."""
        self._process = process
        self._turns: list[Turn] = []
        self._stages: dict[str, Any] = {}

    def warm(self) -> None:
        """Runs at full speed for two seconds."""
        self._process.wait_for(
            lambda: sum(one.acked > 0 for one in self._process.heard) >= _WARM_HEALTHS,
            "acknowledgements",
            _PATIENCE_S,
        )
        self._process.pause()
        self._stages = self._process.heard[-1].body["latency_ms"]

    def turn(self, seconds: float) -> None:
        """Resumes the process for `seconds`, and pauses it."""
        begun, cpu_s = time.time(), self._process.tree.cpu_s()
        self._process.resume()
        time.sleep(seconds)
        self._process.pause()
        self._turns.append((begun, time.time(), self._process.tree.cpu_s() - cpu_s))

    def run(self) -> Run:
        """Every verdict that was stored must have been acknowledged when it ends."""
        self._process.resume()
        refuse_losses(*self._process.stop())
        heard = self._process.heard
        refuse_faults(heard[-1])
        return rates(heard, self._turns) | {"stages_ms": self._stages}


Turn = tuple[float, float, float]  # from when to when, seconds since the epoch; CPU seconds in it


def rates(heard: Sequence[HealthSample], turns: Sequence[Turn]) -> Run:
    """Frames/s: verdicts acknowledged between the first and the last `health` within a turn, over
    the time worked in between. CPU a frame: over all turns.

    Raises InvalidRunError when there is no rate.
    """
    during = [one for one in heard if turns[0][0] <= one.measured <= turns[-1][1]]
    if len(during) < 2:
        raise InvalidRunError("two health messages did not come in its turns; raise --seconds")
    first, last = during[0], during[-1]
    worked = sum(
        max(0.0, min(end, last.measured) - max(begun, first.measured)) for begun, end, _ in turns
    )
    acked = last.acked - first.acked
    if acked <= 0:
        raise InvalidRunError("nothing was acknowledged in its turns; raise --seconds")
    fps = acked / worked
    cpu_share = sum(cpu_s for *_, cpu_s in turns) / sum(end - begun for begun, end, _ in turns)
    return {
        "fps": fps,
        "cpu_ms": cpu_share * 1000 / fps,
        "seconds": worked,
        "frames": last.acked,
        "skipped": last.skipped - first.skipped,
    }


def refuse_losses(stored: int, acked: int, waiting: int) -> None:
    """Raises InvalidRunError when a verdict of a daemon that has ended was not acknowledged."""
    if stored != acked or waiting:
        raise InvalidRunError(
            f"{stored} verdicts were stored, {acked} acknowledged, {waiting} wait"
        )


def refuse_faults(last: HealthSample) -> None:
    """Raises InvalidRunError for a daemon that had errors, did other work than the bare loop, or
    did not judge what it read."""
    if last.errors:
        raise InvalidRunError(last.what_went_wrong)
    if not last.body["decoding"]["reduced"]:
        raise InvalidRunError(
            "these pictures get other verdicts at reduced scale, so the daemon decoded them whole; "
            "measure with --pictures of your cameras, or set model.decoding: whole"
        )
    missing = last.frames - last.skipped - last.verdicts
    if missing > _MAY_WAIT * len(last.body["cameras"]):
        raise InvalidRunError(f"of {last.frames} pictures {missing} were not judged")
