"""Interleaved turns: their order, the rates, and invalid runs."""

from contextlib import closing
from pathlib import Path

import pytest

from edge.core.errors import EXIT_USAGE, EdgeInspectError
from edge_bench.interleave import (
    TURN_S,
    Candidate,
    LoopCandidate,
    Run,
    interleave,
    rates,
    refuse_faults,
    refuse_losses,
    warmed_up,
)
from edge_bench.rounds import InvalidRunError
from edge_bench.worker_pipe import WorkerPipe
from tests.edge_bench.samples import health_sample

START = 1000.0  # second 0 of `health_sample`


class RecordingCandidate(Candidate):
    """Records its calls."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name, self._calls = name, calls

    def warm_up(self) -> None:
        """Notes it."""
        self._calls.append(f"{self._name} warm")

    def turn(self, seconds: float) -> None:
        """Notes it."""
        self._calls.append(f"{self._name} {seconds}")

    def run(self) -> Run:
        """Notes it."""
        self._calls.append(f"{self._name} ends")
        return {"fps": float(len(self._calls))}


@pytest.mark.parametrize(("seconds", "turns"), [(2.0, 5), (0.1, 3)])
def test_candidates_take_turns(seconds: float, turns: int) -> None:
    """Warm-up comes first, then the turns that fit in the seconds, at least three, then the end."""
    calls: list[str] = []
    candidates = [
        warmed_up(RecordingCandidate("a", calls)),
        warmed_up(RecordingCandidate("b", calls)),
    ]
    found = interleave(candidates, seconds)
    assert calls[:2] == ["a warm", "b warm"]
    pairs = list(zip(calls[2:-2:2], calls[3:-2:2], strict=True))
    assert len(pairs) == turns
    assert all(set(pair) == {f"a {TURN_S}", f"b {TURN_S}"} for pair in pairs)
    assert calls[-2:] == ["a ends", "b ends"]
    assert len(found) == 2


def test_the_order_of_turns_is_random() -> None:
    """Both orders occur."""
    calls: list[str] = []
    interleave([RecordingCandidate("a", calls), RecordingCandidate("b", calls)], 40.0)
    assert {tuple(calls[at : at + 2]) for at in range(0, 200, 2)} == {
        (f"a {TURN_S}", f"b {TURN_S}"),
        (f"b {TURN_S}", f"a {TURN_S}"),
    }


def test_rates_count_only_the_time_of_turns() -> None:
    """Rates count between the first and the last health message of the turns, without rests."""
    turns = [(START + at, START + at + 0.5, 0.25) for at in (10, 20, 30)]
    health_samples = [
        health_sample(9, 10),  # before the turns
        health_sample(10.1, 100, skipped=1),
        health_sample(20.1, 200, skipped=1),
        health_sample(30.1, 300, skipped=4),
        health_sample(31, 900),  # after the turns
    ]
    run = rates(health_samples, turns)
    assert run["seconds"] == pytest.approx(1.0)  # 0.4 + 0.5 + 0.1
    assert run["fps"] == pytest.approx(200.0)
    assert run["cpu_ms"] == pytest.approx(2.5)  # half a core at 200 frames/s
    assert (run["frames"], run["skipped"]) == (300, 3)


@pytest.mark.parametrize(
    ("seconds", "why"), [((10.1,), "two health messages"), ((10.1, 10.2), "no verdict was ack")]
)
def test_one_health_message_gives_no_rate(seconds: tuple[float, ...], why: str) -> None:
    """One health message, or two with the same count, give no rate."""
    health_samples = [health_sample(at, 100) for at in seconds]
    with pytest.raises(InvalidRunError, match=why):
        rates(health_samples, [(START + 10, START + 11, 0.5)])


@pytest.mark.parametrize("counts", [(20, 19, 0), (20, 20, 1)])
def test_a_missing_acknowledgement_makes_a_run_invalid(counts: tuple[int, int, int]) -> None:
    """All stored verdicts must be acknowledged when the daemon has ended."""
    refuse_losses(20, 20, 0)
    with pytest.raises(InvalidRunError, match="20 verdicts were stored"):
        refuse_losses(*counts)


def test_frames_without_a_verdict_make_a_run_invalid() -> None:
    """A limited number of frames may be pending. A replaced frame is not missing."""
    refuse_faults(health_sample(2, 1000, frames=1040))
    refuse_faults(health_sample(2, 1000, frames=1140, skipped=100))
    with pytest.raises(InvalidRunError, match="of 1041 pictures 41 were not judged"):
        refuse_faults(health_sample(2, 1000, frames=1041))


def test_an_error_verdict_makes_a_run_invalid() -> None:
    """The sentence has the number of errors."""
    with pytest.raises(InvalidRunError, match="1 verdicts were errors"):
        refuse_faults(health_sample(2, 20, error=1))


WORKER = """
import sys
from edge_bench.worker_pipe import serve_turns
from edge.core.errors import EdgeInspectError

def start_work(request):
    if request.get("refuse"):
        raise EdgeInspectError("model.path: no such file")
    turns = []
    def reply(word):
        if word is None:
            return {"turns": len(turns), "stages_ms": {}}
        if word > 9:
            sys.exit("internal fault")
        turns.append(word)
        return {"frames": request["frames"], "seconds": word, "cpu_s": word / 2}
    return reply

sys.exit(serve_turns(start_work))
"""


@pytest.fixture
def worker_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a worker module."""
    (tmp_path / "worker_module.py").write_text(WORKER)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    return "worker_module"


def test_loops_side_by_side_are_added_up(worker_module: str) -> None:
    """Frames/s and CPU are those of all workers; the summary is that of the first."""
    with (
        closing(WorkerPipe(worker_module, {"frames": 10})) as one,
        closing(WorkerPipe(worker_module, {"frames": 30})) as other,
    ):
        loops = warmed_up(LoopCandidate([one, other]))
        loops.turn(0.5)
        loops.turn(0.5)
        run = loops.run()
    assert run["fps"] == pytest.approx(80.0)
    assert run["cpu_ms"] == pytest.approx(12.5)
    assert (run["frames"], run["seconds"], run["turns"]) == (80, 1.0, 2)


def test_a_user_error_of_a_worker_is_raised(worker_module: str) -> None:
    """The error has the sentence and the exit code of the worker."""
    with closing(WorkerPipe(worker_module, {"refuse": True})) as pipe:
        with pytest.raises(EdgeInspectError, match=r"model.path: no such file") as caught:
            pipe.receive()
        assert caught.value.exit_code == EdgeInspectError("").exit_code == EXIT_USAGE


def test_a_worker_that_ends_is_an_error_with_its_stderr(worker_module: str) -> None:
    """The error also comes at the next message."""
    with closing(WorkerPipe(worker_module, {"frames": 1})) as pipe:
        pipe.receive()
        pipe.send(10.0)
        with pytest.raises(
            RuntimeError, match=r"(?s)worker_module ended with code 1: .*internal fault"
        ):
            pipe.receive()
        with pytest.raises(RuntimeError, match="ended with code 1"):
            pipe.send(0.5)
