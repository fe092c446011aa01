"""One verdict a part: never none, never two, never a good one that nobody may trust."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.capture.mailbox import Mailbox
from edge.capture.tracker import Tracker
from edge.environment import Environment
from edge.errors import TriggerError
from edge.frame import Frame
from edge.inspection.framing import Framing
from edge.operation.judge import Judge, Manner, Provenance
from edge.operation.judging import Judging
from edge.triggering import TriggerConfig
from edge.verdict import Verdict
from edge.view import ViewConfig
from tests.edge.conftest import Clock, solid
from tests.edge.operation.conftest import ScriptedModel, inspector_with


class RedIsBad(ScriptedModel):
    """P(red) is how red the picture is; it may take its time, or fail."""

    def __init__(self, clock: Clock) -> None:
        super().__init__([], lambda: None)
        self.clock, self.takes_s = clock, 0.0
        self.fails = False

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classifies."""
        self.clock.at += self.takes_s
        if self.fails:
            raise RuntimeError("invoke failed")
        red = float(picture[..., 0].mean()) / 255
        return np.array([1 - red, red], np.float32)


class Line:
    """A camera with a trigger, and all between it and the outbox, under a clock that a test
    turns. `verdicts` is what the plant would get."""

    def __init__(self, trigger: dict[str, Any], view: dict[str, Any] | None = None) -> None:
        self.clock = Clock()
        environment = Environment(self.clock.now, self.clock.tick)
        config = TriggerConfig.model_validate({"kind": "request", **trigger})
        framing = Framing(ViewConfig.model_validate(view or {}))
        self.model = RedIsBad(self.clock)
        judge = Judge(
            inspector_with(self.model),
            Provenance("line1", "0123456789ab", "b-1"),
            environment,
            2000,
            manners={"top": Manner(framing, config)},
        )
        self.tracker = Tracker("top", config, environment)
        self.mailbox = Mailbox({"top": self.tracker})
        self.verdicts: list[Verdict] = []
        self.kept: list[Frame] = []
        self.judging = Judging(
            self.mailbox,
            judge,
            self.verdicts.append,
            lambda frame, _verdict: self.kept.append(frame),
            environment,
            trackers={"top": self.tracker},
        )
        self.seq = 0

    def trigger(self, name: str | None = None) -> bool:
        """Whether it was taken."""
        try:
            self.tracker.trigger("request", name)
        except TriggerError:
            return False
        return True

    def show(self, red: int | NDArray[np.uint8] = 0, fault: str | None = None) -> None:
        """The camera delivers a frame of now."""
        self.seq += 1
        pixels = solid(red) if isinstance(red, int) else red
        at = self.clock.at
        self.mailbox.offer(Frame("top", self.seq, None if fault else pixels, at, at, fault=fault))

    def judge(self) -> None:
        """The thread of inspection does all it can do now."""
        while (work := self.mailbox.take(0)) is not None:
            self.judging.run_once(work)
        self.judging.run_once(None)

    def stop(self) -> None:
        """The daemon stops: the thread of inspection ends in the test's own."""
        self.mailbox.close()
        self.judging.run()

    def said(self) -> list[tuple[str | None, str]]:
        """Part and verdict, in order."""
        return [(v.part, v.verdict) for v in self.verdicts]


def test_a_part_is_judged_by_its_rule() -> None:
    """Three frames, two of which must be bad: the numbers behind the verdict travel in it."""
    line = Line({"frames": 3, "rule": "k_of_n", "k": 2})
    line.trigger("P-7")
    for red in (10, 240, 200):
        line.clock.at += 0.05
        line.show(red)
        line.judge()
    (verdict,) = line.verdicts
    assert (verdict.part, verdict.verdict, verdict.frame_seq) == ("P-7", "fail", 2)
    assert verdict.score == pytest.approx(200 / 255)
    assert (verdict.rule.name, verdict.rule.frames, verdict.rule.k) == ("k_of_n", 3, 2)
    assert verdict.rule.scores == pytest.approx([10 / 255, 240 / 255, 200 / 255])
    assert verdict.trigger is not None
    assert verdict.trigger_to_verdict_ms == pytest.approx(150)
    assert [frame.seq for frame in line.kept] == [2]


def test_only_the_worst_frame_of_a_part_is_held() -> None:
    """Evidence is the frame with the highest score; the pixels of the others are let go."""
    line = Line({"frames": 4, "rule": "mean"})
    line.trigger("a")
    for red in (50, 200, 100, 199):
        line.show(red)
    line.judge()
    (kept,) = line.kept
    assert kept.pixels is not None
    assert kept.pixels[0, 0, 2] == 200


def test_a_missing_frame_is_an_error() -> None:
    """Two of three frames within the deadline are no verdict, however good they were."""
    line = Line({"frames": 3, "rule": "mean", "deadline_ms": 300})
    line.trigger("a")
    for _ in range(2):
        line.show(0)
        line.judge()
    line.clock.at += 0.3
    line.judge()
    (verdict,) = line.verdicts
    assert verdict.verdict == "error"
    assert verdict.reason is not None
    assert "2 of 3 frames came" in verdict.reason
    assert verdict.rule.scores == pytest.approx([0, 0])
    line.show(0)
    line.judge()
    assert len(line.verdicts) == 1


def test_a_late_judgement_is_an_error() -> None:
    """A model that needs longer than the deadline leaves gives an `error`, not its judgement."""
    line = Line({"deadline_ms": 100})
    line.model.takes_s = 0.2
    line.trigger("a")
    line.show(0)
    line.judge()
    (verdict,) = line.verdicts
    assert verdict.verdict == "error"
    assert "later than trigger.deadline_ms" in str(verdict.reason)


def test_one_bad_frame_is_enough_for_an_error() -> None:
    """A model that fails at one of the frames ends the part; the next part is judged again."""
    line = Line({"frames": 2, "rule": "mean"})
    line.trigger("a")
    line.show(0)
    line.judge()
    line.model.fails = True
    line.show(0)
    line.judge()
    line.model.fails = False
    line.trigger("b")
    for _ in range(2):
        line.show(0)
        line.judge()
    assert line.said() == [("a", "error"), ("b", "pass")]


def test_a_stop_leaves_no_part_open() -> None:
    """Each open part gets its `error` when the daemon stops, and says so; none is taken after."""
    line = Line({"frames": 2, "queue": 3})
    for name in "abc":
        line.trigger(name)
    line.show(0)
    line.stop()
    assert line.said() == [("a", "error"), ("b", "error"), ("c", "error")]
    assert {v.reason for v in line.verdicts} == {"the daemon was stopped"}
    assert not line.trigger("d")


def test_what_was_taken_before_the_stop_is_judged() -> None:
    """A part whose frame waits in the mailbox at the stop still gets its judgement."""
    line = Line({})
    line.trigger("a")
    line.show(250)
    line.stop()
    assert line.said() == [("a", "fail")]


REGIONS = [{"id": "left", "region": [0, 0, 0.5, 1]}, {"id": "right", "region": [0.5, 0, 0.5, 1]}]


def half_red() -> NDArray[np.uint8]:
    """The right half is bad."""
    pixels = solid(0)
    pixels[:, 16:] = (60, 90, 250)
    return pixels


def test_each_region_has_its_verdict() -> None:
    """A part seen in two regions gets exactly one verdict for each."""
    line = Line({}, {"regions": REGIONS})
    line.trigger("a")
    line.show(half_red())
    line.judge()
    assert [(v.region, v.verdict) for v in line.verdicts] == [("left", "pass"), ("right", "fail")]
    line.trigger("b")
    line.show(fault="lost")
    line.judge()
    assert [(v.region, v.verdict) for v in line.verdicts[2:]] == [
        ("left", "error"),
        ("right", "error"),
    ]


def test_the_worst_region_decides() -> None:
    """With `verdict: worst` a part has one verdict, of its worst region, with the scores of all."""
    line = Line({}, {"regions": REGIONS, "verdict": "worst"})
    line.trigger("a")
    line.show(half_red())
    line.judge()
    (verdict,) = line.verdicts
    assert (verdict.region, verdict.verdict) == ("right", "fail")
    assert verdict.rule.regions == pytest.approx({"left": 0.0, "right": 250 / 255})
    line.trigger("b")
    line.show(fault="lost")
    line.judge()
    assert line.said()[1:] == [("b", "error")]


def play(seed: int, parts: int, trigger: dict[str, Any]) -> tuple[Line, list[str]]:
    """A line at about 20 parts a second with bursts, frames that fail, come late or not at all,
    and a model that is slow or fails; stopped in the middle. Returns the names that were taken."""
    chance = random.Random(seed)
    line = Line(trigger)
    accepted = []
    for number in range(parts):
        line.clock.at += chance.choice([0.0, 0.0, chance.expovariate(20)])
        if line.trigger(f"P-{number}"):
            accepted.append(f"P-{number}")
        for _ in range(chance.choice([0, 1, 2, 3, 6])):
            line.clock.at += chance.choice([0.0, 0.008, 0.03])
            line.model.fails = chance.random() < 0.02
            line.model.takes_s = chance.choice([0.002, 0.002, 0.01, 0.3])
            fault = "camera lost" if chance.random() < 0.03 else None
            line.show(chance.choice([0, 0, 0, 250]), fault=fault)
            if chance.random() < 0.8:
                line.judge()
        if chance.random() < 0.02:
            line.clock.at += 1.0  # the whole box hangs
    line.stop()
    return line, accepted


def check(line: Line, accepted: list[str]) -> None:
    """Exactly one verdict for each part that was taken, none for any other; what is not `error`
    was captured after its trigger and judged before its deadline."""
    counts = Counter(v.part for v in line.verdicts)
    assert set(counts) == set(accepted)
    assert set(counts.values()) <= {1}
    assert line.tracker.open == 0
    assert line.tracker.triggered == len(accepted) + line.tracker.refused
    used: Counter[int] = Counter()
    for verdict in line.verdicts:
        part = verdict.trigger
        assert part is not None
        assert verdict.trigger_to_verdict_ms is not None
        if verdict.verdict != "error":
            used[verdict.frame_seq] += 1
            assert verdict.captured_at >= part.due
            assert verdict.trigger_to_verdict_ms <= line.tracker.config.deadline_ms + 1e-6
            assert len(verdict.rule.scores) == part.frames
        else:
            assert verdict.reason
            assert verdict.score is None
    assert set(used.values()) <= {1}


def test_ten_thousand_parts_get_one_verdict_each() -> None:
    """10,000 triggers in bursts, with faults and delays: one verdict a part, none missing, none
    double, deadline misses are `error`."""
    line, accepted = play(7, 10_000, {"deadline_ms": 250, "delay_ms": 5, "queue": 2})
    check(line, accepted)
    outcomes = Counter(v.verdict for v in line.verdicts)
    assert min(outcomes["pass"], outcomes["fail"], outcomes["error"]) > 500
    assert line.tracker.refused > 100


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {"deadline_ms": st.sampled_from([20, 100, 1000]), "queue": st.integers(0, 5)},
        optional={
            "delay_ms": st.sampled_from([0, 3, 19]),
            "window_ms": st.sampled_from([1, 15, 90]),
        },
    ),
    st.sampled_from([{}, {"frames": 2, "rule": "mean"}, {"frames": 3, "rule": "k_of_n", "k": 2}]),
)
def test_one_verdict_a_part_whatever_the_settings(
    seed: int, times: dict[str, Any], rule: dict[str, Any]
) -> None:
    """The promise holds for every deadline, queue, delay, window and rule."""
    line, accepted = play(seed, 60, {**times, **rule})
    check(line, accepted)
