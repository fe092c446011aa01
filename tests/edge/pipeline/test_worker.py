"""From frame to verdict: a fault never becomes pass."""

import math
import threading

import numpy as np
import pytest

from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import ModelError, PictureError
from edge.core.frame import Frame
from edge.core.percentiles import Latencies
from edge.core.verdict import OUTCOMES, Verdict
from edge.core.view import ViewConfig
from edge.inspection.view_crop import ViewCrop
from edge.pipeline.frame_inspector import CameraProfile
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.worker import InspectionWorker
from tests.support.clock import FakeClock
from tests.support.frames import frame
from tests.support.scripted_model import MakeJudge, ScriptedModel, Sink, inspector_with
from tests.support.waiting import wait_until

GOOD, BAD, DOUBTFUL = [0.95, 0.05], [0.05, 0.95], [0.5, 0.5]


@pytest.mark.parametrize(
    ("answer", "outcome", "score"),
    [(GOOD, "pass", 0.05), (DOUBTFUL, "review", 0.5), (BAD, "fail", 0.95)],
)
def test_verdict_says_all_of_the_contract(
    answer: list[float], outcome: str, score: float, make_judge: MakeJudge
) -> None:
    """A verdict carries outcome, score, thresholds, model, frame and where it comes from."""
    verdict = make_judge(answer)(frame(7, red=10))
    assert verdict.verdict == outcome
    assert verdict.score == pytest.approx(score)
    assert sum(verdict.probabilities.values()) == pytest.approx(1)
    assert (verdict.reject_at, verdict.review_from) == (0.6, 0.4)
    assert (verdict.station, verdict.config, verdict.boot_id) == ("line1", "0123456789ab", "b-1")
    assert verdict.model is not None
    assert verdict.model.name == "scripted"
    assert (verdict.frame_width, verdict.frame_height, verdict.frame_seq) == (32, 32, 7)
    assert (verdict.reason is None) == (outcome != "review")


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("invoke failed"),
        ValueError("set_tensor"),
        MemoryError(),
        ModelError("no"),
        PictureError("no"),
        ZeroDivisionError(),
        OSError(5, "I/O error"),
        RecursionError(),
        AssertionError(),
        KeyError("x"),
        StopIteration(),
        TimeoutError(),
        [math.nan, math.nan],
        [math.nan, 0.0],
        [math.inf, 0.0],
        [-1.0, 2.0],
        [0.0, 0.0],
        [8.0, -8.0],
        [1.0, 1.0],
    ],
    ids=repr,
)
def test_every_fault_of_a_model_is_an_error(
    answer: list[float] | BaseException, make_judge: MakeJudge
) -> None:
    """Whatever a model raises or answers that is no judgement becomes `error` with a reason."""
    verdict = make_judge(answer)(frame())
    assert verdict.verdict == "error"
    assert verdict.reason
    assert (verdict.score, verdict.label, verdict.probabilities) == (None, None, {})


@pytest.mark.parametrize(
    "sent",
    [
        frame(fault="camera lost"),
        frame(red=None),
        Frame("top", 1, np.zeros((0, 0, 3), np.uint8), 0.0, 1000.0),
        Frame("top", 1, np.zeros((8, 8, 2), np.uint8), 0.0, 1000.0),
    ],
    ids=["fault", "no-pixels", "empty", "two-channels"],
)
def test_every_frame_without_a_picture_is_an_error(sent: Frame, make_judge: MakeJudge) -> None:
    """A frame with a fault, without pixels or with none that can be judged is an `error`."""
    verdict = make_judge(GOOD)(sent)
    assert verdict.verdict == "error"
    assert verdict.reason
    assert verdict.score is None


def test_fault_is_told_word_by_word(make_judge: MakeJudge) -> None:
    """The camera's sentence becomes the verdict's reason, and the model is not asked."""
    judge = make_judge(GOOD)
    verdict = judge(frame(fault="cam: delivers no picture; check the cable"))
    assert verdict.reason == "cam: delivers no picture; check the cable"
    assert judge.inspector.classify.calls == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("late_ms", "outcome"), [(0, "pass"), (1990, "pass"), (2010, "error"), (60_000, "error")]
)
def test_deadline(late_ms: float, outcome: str, make_judge: MakeJudge, clock: FakeClock) -> None:
    """A judgement later than deadline_ms after its capture is an `error`, however good."""
    judge = make_judge(GOOD, work=lambda: setattr(clock, "at", clock.at + late_ms / 1000))
    verdict = judge(frame())
    assert verdict.verdict == outcome
    assert verdict.capture_to_verdict_ms == pytest.approx(late_ms)
    if outcome == "error":
        assert "later than deadline_ms" in str(verdict.reason)
        assert verdict.score is None


def test_frame_that_waited_is_late_too(make_judge: MakeJudge, clock: FakeClock) -> None:
    """The time before the judgement counts: it runs from the capture."""
    judge = make_judge(GOOD)
    waited = frame(tick=clock.at)
    clock.at += 3
    assert judge(waited).verdict == "error"


def test_items_and_requests_have_no_deadline(make_judge: MakeJudge, clock: FakeClock) -> None:
    """An item that waited for its turn is judged, and so is everything without a deadline."""
    item = Frame("top", 1, frame().pixels, 0.0, clock.at, item="a.png")
    clock.at += 3600
    assert make_judge(GOOD)(item).verdict == "pass"
    assert make_judge(GOOD, deadline_ms=None)(frame()).verdict == "pass"


def test_receipt_and_part_are_handed_on(make_judge: MakeJudge) -> None:
    """What names an item goes into its verdict, for the outbox and for the plant, errors too."""
    sent = Frame("top", 1, None, 0.0, 1000.0, item="a.png", receipt="a.png|1|2", fault="bad")
    verdict = make_judge(GOOD)(sent)
    assert (verdict.part, verdict.receipt, verdict.verdict) == ("a.png", "a.png|1|2", "error")


def test_every_verdict_has_its_own_id(make_judge: MakeJudge) -> None:
    """The same frame judged twice gives two ids, for each is a verdict."""
    judge = make_judge(GOOD)
    assert judge(frame()).id != judge(frame()).id


def test_latencies_are_by_stage(make_judge: MakeJudge, clock: FakeClock) -> None:
    """Inference time is measured around the model; percentiles are in milliseconds."""
    judge = make_judge(GOOD, work=lambda: setattr(clock, "at", clock.at + 0.025))
    for _ in range(10):
        judge(frame(tick=clock.at))
    stages = judge.latencies.percentiles()
    assert set(stages) == {"prepare", "inference", "capture_to_verdict"}
    assert stages["inference"] == pytest.approx({"p50": 25, "p95": 25, "p99": 25})


def test_percentiles_of_known_values() -> None:
    """Of 1 to 1000 ms the median is 500.5; only the last thousand count."""
    latencies = Latencies()
    for ms in [9e9] * 50 + list(range(1, 1001)):
        latencies.add({"x": ms})
    assert latencies.percentiles()["x"] == pytest.approx(
        {"p50": 500.5, "p95": 950.05, "p99": 990.01}
    )


def run(worker: InspectionWorker) -> threading.Thread:
    """Starts it as the daemon does."""
    thread = threading.Thread(target=worker.run, name="inspection")
    thread.start()
    return thread


def test_every_frame_is_delivered_counted_and_offered_as_evidence(
    make_judge: MakeJudge, environment: Clock
) -> None:
    """Each frame gives one verdict, delivered before it may be kept, and is counted."""
    mailbox, order = Mailbox(), []
    worker = InspectionWorker(
        mailbox,
        Judges(make_judge(GOOD)),
        Sink(
            lambda verdict: order.append(f"deliver {verdict.frame_seq}"),
            lambda kept, _verdict: order.append(f"keep {kept[0].seq}"),
        ),
        environment,
    )
    mailbox.offer(frame(1))
    mailbox.close()
    run(worker).join(5)
    assert order == ["deliver 1", "keep 1"]
    assert worker.counts == {**dict.fromkeys(OUTCOMES, 0), "pass": 1}


def test_one_frames_fault_does_not_end_judging(
    make_judge: MakeJudge,
    environment: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When delivering one verdict raises, it is logged and counted, and the next is judged."""
    mailbox: Mailbox = Mailbox()
    delivered: list[Verdict] = []

    def deliver(verdict: Verdict) -> None:
        if verdict.frame_seq == 1:
            raise RuntimeError("no room")
        delivered.append(verdict)

    worker = InspectionWorker(mailbox, Judges(make_judge(GOOD)), Sink(deliver), environment)
    thread = run(worker)
    mailbox.offer(frame(1))
    wait_until(lambda: worker.faults == 1)
    mailbox.offer(frame(2))
    mailbox.close()
    thread.join(5)
    assert [verdict.frame_seq for verdict in delivered] == [2]


def test_hysteresis_holds_what_is_watched_over_time(environment: Clock) -> None:
    """A live camera's verdict gets better only when the score falls well below the threshold; the
    lowered thresholds travel in it. Items and other cameras are not held."""
    answers = iter([0.65, 0.58, 0.53, 0.37, 0.34, 0.37, 0.58, 0.58])
    model = ScriptedModel([], lambda: None)
    model.work = lambda: setattr(model, "answer", [1 - (p := next(answers)), p])
    judge = Judge(
        inspector_with(model),
        Provenance("line1", "0123456789ab", "b-1"),
        environment,
        None,
        hysteresis=0.05,
    )
    seen = [judge(frame(seq)) for seq in range(6)]
    assert [v.verdict for v in seen] == ["fail", "fail", "review", "review", "pass", "pass"]
    assert [v.rule.hysteresis for v in seen] == [0, 0.05, 0.05, 0.05, 0.05, 0]
    assert seen[1].reject_at == pytest.approx(0.55)
    assert judge(frame(7, camera="side")).verdict == "review"
    item = Frame("side", 8, frame().pixels, 0.0, 1000.0, item="a.png")
    assert judge(item).rule.hysteresis == 0


def test_a_view_that_does_not_fit_is_an_error(environment: Clock) -> None:
    """A region outside the frame gives `error` with the sentence, and the model is not asked."""
    model = ScriptedModel(GOOD, lambda: None)
    view = ViewConfig.read({"region": [0, 0, 33, 32]})
    judge = Judge(
        inspector_with(model),
        Provenance("line1", "0123456789ab", "b-1"),
        environment,
        None,
        profiles={"top": CameraProfile(ViewCrop(view), TriggerConfig())},
    )
    verdict = judge(frame())
    assert verdict.verdict == "error"
    assert "outside the picture of 32×32" in str(verdict.reason)
    assert model.calls == 0


def test_an_item_of_regions_is_done_with_its_last_verdict(environment: Clock) -> None:
    """Only the last region's verdict has the receipt: an incomplete picture is judged again."""
    regions = [{"id": n, "region": [0, 0, 1, 1]} for n in ("a", "b", "c")]
    view = ViewConfig.read({"regions": regions})
    judge = Judge(
        inspector_with(ScriptedModel(GOOD, lambda: None)),
        Provenance("line1", "0123456789ab", "b-1"),
        environment,
        None,
        profiles={"top": CameraProfile(ViewCrop(view), TriggerConfig())},
    )
    item = Frame("top", 1, frame().pixels, 0.0, 1000.0, item="a.png", receipt="r")
    assert [v.receipt for v in judge.judge(item)] == [None, None, "r"]
    broken = Frame("top", 2, None, 0.0, 1000.0, item="b.png", receipt="q", fault="damaged")
    assert [(v.verdict, v.receipt) for v in judge.judge(broken)] == [
        ("error", None),
        ("error", None),
        ("error", "q"),
    ]


def test_the_judge_sleeps_until_there_is_a_frame(make_judge: MakeJudge, environment: Clock) -> None:
    """Without a frame or an open part it wakes to show progress alone."""
    sleeps: list[float] = []

    class Empty(Mailbox):
        def take(self, timeout: float) -> None:
            sleeps.append(timeout)
            if len(sleeps) == 3:
                self.close()

    judge = make_judge([0.9, 0.1])
    InspectionWorker(Empty(), Judges(judge), Sink(), environment).run()
    assert sleeps == [5.0] * 3
