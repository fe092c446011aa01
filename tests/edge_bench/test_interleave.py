"""Turns: who works when, what a rate is of, and the runs that are no measurement."""

from contextlib import closing
from pathlib import Path

import pytest

from edge.core.errors import EXIT_USAGE, EdgeInspectError
from edge_bench.interleave import (
    TURN_S,
    Candidate,
    Loops,
    Run,
    interleave,
    rates,
    refuse_faults,
    refuse_losses,
    warmed,
)
from edge_bench.rounds import InvalidRunError
from edge_bench.worker_pipe import WorkerPipe
from tests.edge_bench.samples import hearing

BEGUN = 1000.0  # second 0 of `hearing`


class Noted(Candidate):
    """Writes down what is asked of it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name, self._notes = name, notes

    def warm(self) -> None:
        """Notes it."""
        self._notes.append(f"{self._name} warm")

    def turn(self, seconds: float) -> None:
        """Notes it."""
        self._notes.append(f"{self._name} {seconds}")

    def run(self) -> Run:
        """Notes it."""
        self._notes.append(f"{self._name} ends")
        return {"fps": float(len(self._notes))}


@pytest.mark.parametrize(("seconds", "turns"), [(2.0, 5), (0.1, 3)])
def test_each_works_when_the_others_rest(seconds: float, turns: int) -> None:
    """Warm first; then so many turns as the seconds have, three at least; the end last."""
    notes: list[str] = []
    both = [warmed(Noted("a", notes)), warmed(Noted("b", notes))]
    found = interleave(both, seconds)
    assert notes[:2] == ["a warm", "b warm"]
    pairs = list(zip(notes[2:-2:2], notes[3:-2:2], strict=True))
    assert len(pairs) == turns
    assert all(set(pair) == {f"a {TURN_S}", f"b {TURN_S}"} for pair in pairs)
    assert notes[-2:] == ["a ends", "b ends"]
    assert len(found) == 2


def test_chance_says_who_comes_first() -> None:
    """Nobody is always after the same other one."""
    notes: list[str] = []
    interleave([Noted("a", notes), Noted("b", notes)], 40.0)
    assert {tuple(notes[at : at + 2]) for at in range(0, 200, 2)} == {
        (f"a {TURN_S}", f"b {TURN_S}"),
        (f"b {TURN_S}", f"a {TURN_S}"),
    }


def test_rates_are_of_the_time_in_which_it_worked() -> None:
    """Between the first and the last health of its turns; resting counts for nothing."""
    turns = [(BEGUN + at, BEGUN + at + 0.5, 0.25) for at in (10, 20, 30)]
    heard = [
        hearing(9, 10),  # before: it was warmed
        hearing(10.1, 100, skipped=1),
        hearing(20.1, 200, skipped=1),
        hearing(30.1, 300, skipped=4),
        hearing(31, 900),  # after: it was ended
    ]
    run = rates(heard, turns)
    assert run["seconds"] == pytest.approx(1.0)  # 0.4 + 0.5 + 0.1
    assert run["fps"] == pytest.approx(200.0)
    assert run["cpu_ms"] == pytest.approx(2.5)  # half a core at 200 frames/s
    assert (run["frames"], run["skipped"]) == (300, 3)


@pytest.mark.parametrize(
    ("seconds", "why"), [((10.1,), "two health messages"), ((10.1, 10.2), "nothing was ack")]
)
def test_without_two_different_looks_there_is_no_rate(seconds: tuple[float, ...], why: str) -> None:
    """One health, or two with the same count."""
    heard = [hearing(at, 100) for at in seconds]
    with pytest.raises(InvalidRunError, match=why):
        rates(heard, [(BEGUN + 10, BEGUN + 11, 0.5)])


@pytest.mark.parametrize("ended", [(20, 19, 0), (20, 20, 1)])
def test_a_verdict_that_was_not_acknowledged_is_no_measurement(ended: tuple[int, int, int]) -> None:
    """What was stored must all have come to the broker when the daemon has ended."""
    refuse_losses(20, 20, 0)
    with pytest.raises(InvalidRunError, match="20 verdicts were stored"):
        refuse_losses(*ended)


def test_frames_that_were_not_judged_are_no_measurement() -> None:
    """Some wait their turn; more than may wait are missed. What a newer one replaced is not."""
    refuse_faults(hearing(2, 1000, frames=1040))
    refuse_faults(hearing(2, 1000, frames=1140, skipped=100))
    with pytest.raises(InvalidRunError, match="of 1041 pictures 41 were not judged"):
        refuse_faults(hearing(2, 1000, frames=1041))


def test_a_daemon_that_decoded_whole_is_no_measurement() -> None:
    """When reduced scale changed verdicts the bare loop did less than the daemon."""
    with pytest.raises(InvalidRunError, match="--pictures"):
        refuse_faults(hearing(2, 20, reduced=False))


def test_an_error_is_no_measurement() -> None:
    """With what the daemon said of it."""
    with pytest.raises(InvalidRunError, match="1 verdicts were errors"):
        refuse_faults(hearing(2, 20, error=1))


TALKER = """
import sys
from edge_bench.worker_pipe import converse
from edge.core.errors import EdgeInspectError

def begin(request):
    if request.get("refuse"):
        raise EdgeInspectError("model.path: no such file")
    turns = []
    def reply(word):
        if word is None:
            return {"turns": len(turns), "stages_ms": {}}
        if word > 9:
            sys.exit("a fault of ours")
        turns.append(word)
        return {"frames": request["frames"], "seconds": word, "cpu_s": word / 2}
    return reply

sys.exit(converse(begin))
"""


@pytest.fixture
def talker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that talks."""
    (tmp_path / "talker.py").write_text(TALKER)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    return "talker"


def test_loops_side_by_side_are_told_and_heard(talker: str) -> None:
    """Frames/s of all together, CPU of all, the first one's summary."""
    with (
        closing(WorkerPipe(talker, {"frames": 10})) as one,
        closing(WorkerPipe(talker, {"frames": 30})) as other,
    ):
        loops = warmed(Loops([one, other]))
        loops.turn(0.5)
        loops.turn(0.5)
        run = loops.run()
    assert run["fps"] == pytest.approx(80.0)
    assert run["cpu_ms"] == pytest.approx(12.5)
    assert (run["frames"], run["seconds"], run["turns"]) == (80, 1.0, 2)


def test_what_a_user_can_mend_is_told(talker: str) -> None:
    """The sentence, and the exit code, come through."""
    with closing(WorkerPipe(talker, {"refuse": True})) as pipe:
        with pytest.raises(EdgeInspectError, match=r"model.path: no such file") as caught:
            pipe.hear()
        assert caught.value.exit_code == EdgeInspectError("").exit_code == EXIT_USAGE


def test_one_that_ends_is_a_fault_with_its_last_words(talker: str) -> None:
    """Also when it is only noticed with the next word."""
    with closing(WorkerPipe(talker, {"frames": 1})) as pipe:
        pipe.hear()
        pipe.say(10.0)
        with pytest.raises(RuntimeError, match=r"(?s)talker ended with code 1: .*a fault of ours"):
            pipe.hear()
        with pytest.raises(RuntimeError, match="ended with code 1"):
            pipe.say(0.5)
