"""A frame that is judged by the thread that brings it, while the inspection thread has nothing to
do."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from edge.capture.mailbox import Mailbox
from edge.environment import Environment
from edge.frame import Frame
from edge.operation.errand import Errand
from edge.operation.judging import Judging
from edge.picture import open_picture
from edge.threads import start_thread
from edge.verdict import Verdict
from tests.edge.conftest import Clock, Eventually, frame, noise_frame
from tests.edge.operation.conftest import MakeJudge

GOOD = [0.95, 0.05]
DEADLINE_S = 30


class Bench:
    """An inspection thread, and what was said on which thread."""

    def __init__(
        self, make_judge: MakeJudge, environment: Environment, work: Callable[[], None]
    ) -> None:
        self.mailbox = Mailbox()
        self.said: list[tuple[int, str]] = []
        self.refuses = False
        self.judging = Judging(
            self.mailbox,
            make_judge(GOOD, deadline_ms=None, work=work),
            self._deliver,
            lambda *_: None,
            environment,
        )
        self.thread = start_thread("inspection", self.judging.run)

    def _deliver(self, verdict: Verdict) -> None:
        if self.refuses:
            raise RuntimeError("no room")
        self.said.append((verdict.frame_seq, threading.current_thread().name))

    def bring(self, seq: int, waited_s: float = 1.0) -> bool:
        """As a camera's thread does."""
        if self.judging.at_once(frame(seq), waited_s):
            return True
        self.mailbox.offer(frame(seq))
        return False


Make = Callable[..., Bench]


@pytest.fixture
def benches(make_judge: MakeJudge, environment: Environment) -> Iterator[Make]:
    """Makes them, and ends their threads."""
    made: list[Bench] = []

    def make(work: Callable[[], None] = lambda: None) -> Bench:
        made.append(Bench(make_judge, environment, work))
        return made[-1]

    yield make
    for bench in made:
        bench.mailbox.close()
        bench.thread.join(DEADLINE_S)
        assert not bench.thread.is_alive()


def test_an_idle_judge_is_not_woken(benches: Make, eventually: Eventually) -> None:
    """The frame is judged and delivered when `at_once` returns, on the caller's thread."""
    bench = benches()
    eventually(lambda: bench.bring(len(bench.said) + 1))
    here = threading.current_thread().name
    before = len(bench.said)
    assert bench.bring(before + 1)
    assert bench.said[-1] == (before + 1, here)
    assert bench.judging.counts["pass"] == len(bench.said)


def test_a_quick_source_does_not_judge(benches: Make, eventually: Eventually, clock: Clock) -> None:
    """Where the source was waited for hardly longer than a judgement takes, its thread goes on
    reading meanwhile."""

    def work() -> None:
        clock.at += 0.01

    bench = benches(work)
    eventually(lambda: bench.bring(1) or bench.said)
    eventually(lambda: bench.said)
    count = len(bench.said)
    assert not bench.bring(2, waited_s=0.019)
    eventually(lambda: len(bench.said) == count + 1)
    assert bench.said[-1] == (2, "inspection")
    eventually(lambda: bench.judging.at_once(frame(3), 0.021))
    assert bench.said[-1] == (3, threading.current_thread().name)


def test_one_judges_at_a_time_and_in_order(benches: Make, eventually: Eventually) -> None:
    """Frames of one camera, some judged where they were brought and some by the inspection thread,
    come out in their order, and never two at once."""
    inside = threading.Lock()

    def work() -> None:
        assert inside.acquire(blocking=False)
        time.sleep(0)  # others may run
        inside.release()

    bench = benches(work)
    for seq in range(1, 501):
        one = frame(seq)
        if seq % 5 == 0:
            bench.mailbox.offer(one)
            eventually(lambda: not bench.mailbox.waiting("top"))
        elif seq % 5 == 1:
            eventually(lambda one=one: bench.judging.at_once(one, 1.0))  # type: ignore[misc]
        elif not bench.judging.at_once(one, 1.0):
            bench.mailbox.offer(one)
    eventually(lambda: len(bench.said) == 500 - bench.mailbox.replaced("top"))
    numbers = [seq for seq, _ in bench.said]
    assert numbers == sorted(numbers)
    assert {name for _, name in bench.said} == {
        "inspection",
        threading.current_thread().name,
    }
    assert bench.judging.faults == 0


def test_an_errand_is_done_between_two_frames(benches: Make, eventually: Eventually) -> None:
    """Also when one of them is judged by who brought it."""
    gate, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert gate.wait(DEADLINE_S)

    bench = benches(work)
    done: list[int] = []
    bringing = threading.Thread(target=lambda: eventually(lambda: bench.bring(1) or bench.said))
    bringing.start()
    assert begun.wait(DEADLINE_S)
    bench.judging.send(Errand(lambda: done.append(len(bench.said)), 1))
    assert not bench.judging.at_once(frame(2), 1.0)
    gate.set()
    bringing.join(DEADLINE_S)
    eventually(lambda: done)
    assert done == [1]


def test_a_fault_there_ends_nothing(
    benches: Make, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted, the camera's thread goes on, and the next frame is judged."""
    bench = benches()
    eventually(lambda: bench.bring(1))
    bench.refuses = True
    eventually(lambda: bench.judging.at_once(frame(2), 1.0))
    assert bench.judging.faults == 1
    assert "unexpected fault after judging" in caplog.text
    bench.refuses = False
    assert bench.bring(3)
    assert bench.said[-1][0] == 3


def test_a_model_that_hangs_there_is_seen(
    benches: Make, eventually: Eventually, clock: Clock
) -> None:
    """The beat, which the watchdog looks at, stands still while the model does."""
    gate, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert gate.wait(DEADLINE_S)

    bench = benches(work)
    bringing = threading.Thread(target=lambda: eventually(lambda: bench.bring(1)))
    bringing.start()
    assert begun.wait(DEADLINE_S)
    beat = bench.judging.beat
    clock.at += 60
    bench.mailbox.wake()
    bench.thread.join(0.1)  # it does not go round meanwhile
    assert bench.judging.beat == beat
    gate.set()
    bringing.join(DEADLINE_S)
    eventually(lambda: bench.bring(2))
    assert bench.judging.beat == clock.at


def test_one_thread_beside_the_judge_decodes(
    benches: Make, eventually: Eventually, tmp_path: Path
) -> None:
    """A thread that has decoded pictures keeps memory for it. Pictures that are still to be decoded
    are judged at once for the first camera that brings one, until it goes; what is decoded
    already, for every camera."""
    bench = benches()
    path = tmp_path / "part.png"
    pixels = noise_frame(1, 32).pixels
    assert pixels is not None
    cv2.imwrite(str(path), pixels)
    picture = open_picture(path)

    def file(camera: str) -> Frame:
        return replace(frame(1, camera=camera), pixels=None, encoded=picture, item="part.png")

    def at_once(one: Frame) -> bool:
        return bench.judging.at_once(one, 1.0)

    eventually(lambda: at_once(frame(1)))
    assert at_once(file("left"))
    assert at_once(file("left"))
    assert not at_once(file("right"))
    assert at_once(frame(2, camera="right"))
    bench.judging.retire("right", "it has gone")
    assert not at_once(file("right"))
    bench.judging.retire("left", "it has gone")
    assert at_once(file("right"))
    assert bench.judging.faults == 0
    assert bench.judging.counts["pass"] == len(bench.said) == 5
