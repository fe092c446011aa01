"""Each part gets exactly one verdict, and never a `pass` after a fault."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.edge.pipeline.triggered_camera import TriggeredCamera
from tests.support.frames import solid


def test_a_part_is_judged_by_its_rule() -> None:
    """Three frames, two of which must be bad: the numbers behind the verdict travel in it."""
    camera = TriggeredCamera({"frames": 3, "rule": "k_of_n", "k": 2})
    camera.trigger("P-7")
    for red in (10, 240, 200):
        camera.clock.at += 0.05
        camera.show(red)
        camera.judge()
    (verdict,) = camera.verdicts
    assert (verdict.part, verdict.verdict, verdict.frame_seq) == ("P-7", "fail", 2)
    assert verdict.score == pytest.approx(200 / 255)
    assert (verdict.rule.name, verdict.rule.frames, verdict.rule.k) == ("k_of_n", 3, 2)
    assert verdict.rule.scores == pytest.approx([10 / 255, 240 / 255, 200 / 255])
    assert verdict.trigger is not None
    assert verdict.trigger_to_verdict_ms == pytest.approx(150)
    assert [frames[0].seq for frames in camera.kept] == [2]


def test_only_the_worst_frame_of_a_part_is_held() -> None:
    """Evidence is the frame with the highest score; the pixels of the others are let go."""
    camera = TriggeredCamera({"frames": 4, "rule": "mean"})
    camera.trigger("a")
    for red in (50, 200, 100, 199):
        camera.show(red)
    camera.judge()
    ((kept, *others),) = camera.kept
    assert kept.pixels is not None
    assert kept.pixels[0, 0, 2] == 200
    assert not any(other.has_picture for other in others)


def test_all_frames_of_a_part_are_held_when_the_archive_wants_them() -> None:
    """The shown one first, then the others in order of capture, each with its picture."""
    camera = TriggeredCamera({"frames": 4, "rule": "mean"}, keeps_all_frames=True)
    camera.trigger("a")
    for red in (50, 200, 100, 199):
        camera.show(red)
    camera.judge()
    (kept,) = camera.kept
    assert [frame.seq for frame in kept] == [2, 1, 3, 4]
    assert [int(frame.pixels[0, 0, 2]) for frame in kept if frame.pixels is not None] == [
        200,
        50,
        100,
        199,
    ]


def test_a_missing_frame_is_an_error() -> None:
    """Two of three frames within the deadline are no verdict, however good they were."""
    camera = TriggeredCamera({"frames": 3, "rule": "mean", "deadline_ms": 300})
    camera.trigger("a")
    for _ in range(2):
        camera.show(0)
        camera.judge()
    camera.clock.at += 0.3
    camera.judge()
    (verdict,) = camera.verdicts
    assert verdict.verdict == "error"
    assert verdict.reason is not None
    assert "2 of 3 frames came" in verdict.reason
    assert verdict.rule.scores == pytest.approx([0, 0])
    camera.show(0)
    camera.judge()
    assert len(camera.verdicts) == 1


def test_a_late_judgement_is_an_error() -> None:
    """A model that needs longer than the deadline leaves gives an `error`, not its judgement."""
    camera = TriggeredCamera({"deadline_ms": 100})
    camera.model.takes_s = 0.2
    camera.trigger("a")
    camera.show(0)
    camera.judge()
    (verdict,) = camera.verdicts
    assert verdict.verdict == "error"
    assert "later than trigger.deadline_ms" in str(verdict.reason)


def test_one_bad_frame_is_enough_for_an_error() -> None:
    """A model that fails at one of the frames ends the part; the next part is judged again."""
    camera = TriggeredCamera({"frames": 2, "rule": "mean"})
    camera.trigger("a")
    camera.show(0)
    camera.judge()
    camera.model.fails = True
    camera.show(0)
    camera.judge()
    camera.model.fails = False
    camera.trigger("b")
    for _ in range(2):
        camera.show(0)
        camera.judge()
    assert camera.outcomes() == [("a", "error"), ("b", "pass")]


def test_a_stop_leaves_no_part_open() -> None:
    """Each open part gets its `error` when the daemon stops, and says so; none is taken after."""
    camera = TriggeredCamera({"frames": 2, "queue": 3})
    for name in "abc":
        camera.trigger(name)
    camera.show(0)
    camera.stop()
    assert camera.outcomes() == [("a", "error"), ("b", "error"), ("c", "error")]
    assert {v.reason for v in camera.verdicts} == {"the daemon was stopped"}
    assert not camera.trigger("d")


def test_what_was_taken_before_the_stop_is_judged() -> None:
    """A part whose frame waits in the mailbox at the stop still gets its judgement."""
    camera = TriggeredCamera({})
    camera.trigger("a")
    camera.show(250)
    camera.stop()
    assert camera.outcomes() == [("a", "fail")]


REGIONS = [{"id": "left", "region": [0, 0, 0.5, 1]}, {"id": "right", "region": [0.5, 0, 0.5, 1]}]


def half_red() -> NDArray[np.uint8]:
    """The right half is bad."""
    pixels = solid(0)
    pixels[:, 16:] = (60, 90, 250)
    return pixels


def test_each_region_has_its_verdict() -> None:
    """A part seen in two regions gets exactly one verdict for each."""
    camera = TriggeredCamera({}, {"regions": REGIONS})
    camera.trigger("a")
    camera.show(half_red())
    camera.judge()
    assert [(v.region, v.verdict) for v in camera.verdicts] == [("left", "pass"), ("right", "fail")]
    camera.trigger("b")
    camera.show(fault="lost")
    camera.judge()
    assert [(v.region, v.verdict) for v in camera.verdicts[2:]] == [
        ("left", "error"),
        ("right", "error"),
    ]


def test_the_worst_region_decides() -> None:
    """With `verdict: worst` a part has one verdict, of its worst region, with the scores of all."""
    camera = TriggeredCamera({}, {"regions": REGIONS, "verdict": "worst"})
    camera.trigger("a")
    camera.show(half_red())
    camera.judge()
    (verdict,) = camera.verdicts
    assert (verdict.region, verdict.verdict) == ("right", "fail")
    assert verdict.rule.regions == pytest.approx({"left": 0.0, "right": 250 / 255})
    camera.trigger("b")
    camera.show(fault="lost")
    camera.judge()
    assert camera.outcomes()[1:] == [("b", "error")]
