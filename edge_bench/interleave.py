"""Interleaves the candidates of a comparison in turns of 0.4 s; one works while the others rest.

On many machines the speed of a core changes by half within seconds. If candidates ran one after the
other, this would look like a difference between them. Interleaved, all meet the same cores.
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
_MIN_TURNS = 3  # a daemon needs turns between its first and last health message
_WARM_UP_HEALTH_MESSAGES = 3  # with acknowledgements: two seconds of full speed
_TIMEOUT_S = 240.0
_MAX_PENDING = 40  # pictures per camera that are read and not yet judged


class Candidate(ABC):
    """One side of a comparison. It works only during its turns."""

    @abstractmethod
    def warm_up(self) -> None:
        """Runs until the usual speed is reached, then rests. Raises RefusedError."""

    @abstractmethod
    def turn(self, seconds: float) -> None:
        """Works for `seconds`."""

    @abstractmethod
    def run(self) -> Run:
        """Ends, and returns the figures of its turns. Raises RefusedError, InvalidRunError."""


C = TypeVar("C", bound=Candidate)


def warmed_up(candidate: C) -> C:
    """Warms the candidate up and returns it. Raises RefusedError."""
    candidate.warm_up()
    return candidate


def interleave(candidates: Sequence[Candidate], seconds: float) -> list[Run]:
    """Each candidate, already warmed up, works `seconds` in total, in at least three turns.

    The order is random in each round of turns. Otherwise a periodic slowdown of the machine could
    always meet the same candidate. Raises as `Candidate`.
    """
    order = list(candidates)
    for _ in range(max(_MIN_TURNS, round(seconds / TURN_S))):
        random.shuffle(order)
        for one in order:
            one.turn(TURN_S)
    return [one.run() for one in candidates]


class LoopCandidate(Candidate):
    """Worker processes side by side. Each message over a `WorkerPipe` is the seconds to work."""

    def __init__(self, pipes: Sequence[WorkerPipe]) -> None:
        """`pipes`: at least one worker, just started."""
        self._pipes = pipes
        self._turns: list[list[Answer]] = [[] for _ in pipes]  # per worker

    def warm_up(self) -> None:
        """A worker runs the model on some pictures before its first answer."""
        for pipe in self._pipes:
            pipe.receive()

    def turn(self, seconds: float) -> None:
        """All workers work at the same time."""
        for pipe in self._pipes:
            pipe.send(seconds)
        for pipe, turns in zip(self._pipes, self._turns):
            turns.append(pipe.receive())

    def run(self) -> Run:
        """Frames/s of all workers together; stages of the first worker."""
        self._pipes[0].send(None)
        frames = [sum(turn["frames"] for turn in turns) for turns in self._turns]
        seconds = [sum(turn["seconds"] for turn in turns) for turns in self._turns]
        cpu_s = sum(turn["cpu_s"] for turns in self._turns for turn in turns)
        return {
            "fps": sum(count / s for count, s in zip(frames, seconds)),
            "cpu_ms": cpu_s * 1000 / sum(frames),
            "frames": sum(frames),
            "seconds": seconds[0],
            **self._pipes[0].receive(),
        }


class DaemonCandidate(Candidate):
    """The daemon with cameras that replay JPEGs at full speed.

    Between turns its process is stopped with SIGSTOP; replayed pictures have no deadline. Its
    stages are from the time before the first turn, because a stopped picture waits for the other
    candidates.
    """

    def __init__(self, process: DaemonProcess) -> None:
        """`process` has just been started."""
        self._process = process
        self._turns: list[Turn] = []
        self._stages: dict[str, Any] = {}

    def warm_up(self) -> None:
        """Runs at full speed for two seconds, then pauses the daemon."""
        self._process.wait_for(
            lambda: (
                sum(one.acked > 0 for one in self._process.health_samples)
                >= _WARM_UP_HEALTH_MESSAGES
            ),
            "acknowledgements",
            _TIMEOUT_S,
        )
        self._process.pause()
        self._stages = self._process.health_samples[-1].body["latency_ms"]

    def turn(self, seconds: float) -> None:
        """Resumes the process for `seconds`, then pauses it."""
        started, cpu_s = time.time(), self._process.tree.cpu_s()
        self._process.resume()
        time.sleep(seconds)
        self._process.pause()
        self._turns.append((started, time.time(), self._process.tree.cpu_s() - cpu_s))

    def run(self) -> Run:
        """Stops the daemon. Every stored verdict must be acknowledged at its end."""
        self._process.resume()
        refuse_losses(*self._process.stop())
        health_samples = self._process.health_samples
        refuse_faults(health_samples[-1])
        return rates(health_samples, self._turns) | {"stages_ms": self._stages}


Turn = tuple[float, float, float]  # start and end, seconds since the epoch; CPU seconds between


def rates(health_samples: Sequence[HealthSample], turns: Sequence[Turn]) -> Run:
    """Frames/s and CPU per frame of a daemon in its turns.

    Frames/s: the verdicts acknowledged between the first and the last health message within the
    turns, divided by the time worked between them. CPU per frame is over all turns. Raises
    InvalidRunError when there is no rate.
    """
    during = [one for one in health_samples if turns[0][0] <= one.measured <= turns[-1][1]]
    if len(during) < 2:
        raise InvalidRunError("fewer than two health messages came in its turns; raise --seconds")
    first, last = during[0], during[-1]
    worked = sum(
        max(0.0, min(end, last.measured) - max(started, first.measured))
        for started, end, _ in turns
    )
    acked = last.acked - first.acked
    if acked <= 0:
        raise InvalidRunError("no verdict was acknowledged in its turns; raise --seconds")
    fps = acked / worked
    cpu_share = sum(cpu_s for *_, cpu_s in turns) / sum(end - started for started, end, _ in turns)
    return {
        "fps": fps,
        "cpu_ms": cpu_share * 1000 / fps,
        "seconds": worked,
        "frames": last.acked,
        "skipped": last.skipped - first.skipped,
    }


def refuse_losses(stored: int, acked: int, waiting: int) -> None:
    """Raises InvalidRunError when a stored verdict of a stopped daemon was not acknowledged."""
    if stored != acked or waiting:
        raise InvalidRunError(
            f"{stored} verdicts were stored, {acked} acknowledged, {waiting} wait"
        )


def refuse_faults(last: HealthSample) -> None:
    """Raises InvalidRunError when the daemon had errors or did not judge every picture."""
    if last.errors:
        raise InvalidRunError(last.error_text)
    missing = last.frames - last.skipped - last.verdicts
    if missing > _MAX_PENDING * len(last.body["cameras"]):
        raise InvalidRunError(f"of {last.frames} pictures {missing} were not judged")
