"""Reduced pictures are compared with whole ones now and then, and given up when verdicts differ."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.image import EncodedPicture, examine_picture
from edge.core.verdict import Outcome
from edge.inspection.decision import Judgement, Thresholds, judge
from edge.inspection.preprocessing import InputSpec, to_model_input
from edge.pipeline.decode_parity import LIMIT, DecodeParity
from edge.pipeline.judge import Judge, Provenance
from tests.support.scripted_model import ScriptedModel, inspector_with

SIDE = 128  # an eighth of it is the scripted model's input


def judgement(outcome: Outcome) -> Judgement:
    """A judgement of that outcome."""
    score = {"pass": 0.1, "review": 0.5, "fail": 0.9}[outcome]
    at = Thresholds(reject_at=0.6, review_from=0.4)
    return judge([1 - score, score], ("ok", "red"), "ok", at)


def test_the_first_of_every_so_many_is_compared() -> None:
    """The first picture tells at once, then one of `every`."""
    parity = DecodeParity(every=5)
    assert [parity.due() for _ in range(11)] == [n % 5 == 0 for n in range(11)]
    assert all(DecodeParity(every=1).due() for _ in range(3))


def test_equal_verdicts_hold_whatever_the_scores() -> None:
    """A score may differ; only the verdict counts."""
    parity = DecodeParity()
    for _ in range(10_000):
        parity.note("top", judgement("pass"), judgement("pass"))
    assert (parity.holds, parity.compared, parity.flips) == (True, 10_000, 0)


@pytest.mark.parametrize(("same_before", "allowed"), [(0, 1), (399, 2), (9_999, 50)])
def test_more_than_the_limit_ends_it(same_before: int, allowed: int) -> None:
    """One flip may be chance; more than half a per cent of those compared is not."""
    parity = DecodeParity()
    for _ in range(same_before):
        parity.note("top", judgement("fail"), judgement("fail"))
    for flips in range(1, allowed + 2):
        parity.note("top", judgement("pass"), judgement("fail"))
        assert parity.holds == (flips <= max(1, LIMIT * parity.compared))
    assert not parity.holds
    assert f"{allowed + 1} of {parity.compared} pictures" in parity.trouble
    assert "convert the model again" in parity.trouble


class ByTexture(ScriptedModel):
    """Says `red` of whole pictures and `ok` of reduced ones, as far as `blind` lets it."""

    def __init__(self) -> None:
        super().__init__([0.95, 0.05], lambda: None)
        self.blind = False
        self.whole = False

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classifies."""
        self.calls += 1
        bad = self.whole and not self.blind
        return np.array([0.05, 0.95] if bad else [0.95, 0.05], np.float32)


class Scene:
    """A judge whose model sees another thing in whole pictures."""

    def __init__(self, environment: Clock, every: int) -> None:
        self.model = ByTexture()
        inspector = replace(inspector_with(self.model), decoding="reduced")
        self.parity = DecodeParity(every)
        self.judge = Judge(
            inspector, Provenance("line1", "c", "b"), environment, None, parity=self.parity
        )
        done, data = cv2.imencode(
            ".jpg", np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        )
        assert done
        self.picture = examine_picture(data.tobytes(), "a.jpg")
        self.reductions: list[int] = []

    def verdict(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """Of one more picture."""
        scene = self
        decode = EncodedPicture.decode

        def noticed(picture: EncodedPicture, reduction: int = 1) -> tuple[NDArray[np.uint8], int]:
            pixels, reduced = decode(picture, reduction)
            scene.reductions.append(reduced)
            scene.model.whole = reduced == 1
            return pixels, reduced

        monkeypatch.setattr(EncodedPicture, "decode", noticed)
        found = self.judge(Frame("top", 1, None, 0.0, 0.0, item="a", encoded=self.picture))
        monkeypatch.setattr(EncodedPicture, "decode", decode)
        assert (found.frame_width, found.frame_height) == (SIDE, SIDE)
        return found.verdict


def test_the_whole_pictures_verdict_counts(
    environment: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both were judged and differ, the part gets the verdict of the whole picture."""
    scene = Scene(environment, every=3)
    assert scene.verdict(monkeypatch) == "fail"
    assert scene.reductions == [8, 1]
    assert [scene.verdict(monkeypatch) for _ in range(2)] == ["pass", "pass"]
    assert scene.reductions == [8, 1, 8, 8]


def test_after_too_many_flips_every_picture_is_decoded_whole(
    environment: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow way is taken by itself, and no part passes by the quick one any more."""
    scene = Scene(environment, every=1)
    for _ in range(2):
        scene.verdict(monkeypatch)
    assert not scene.parity.holds
    scene.reductions.clear()
    assert [scene.verdict(monkeypatch) for _ in range(3)] == ["fail"] * 3
    assert scene.reductions == [1, 1, 1]


def test_a_model_that_sees_the_same_keeps_the_quick_way(
    environment: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing differs: compared, and reduced for good."""
    scene = Scene(environment, every=2)
    scene.model.blind = True
    assert {scene.verdict(monkeypatch) for _ in range(20)} == {"pass"}
    assert (scene.parity.compared, scene.parity.flips, scene.parity.holds) == (10, 0, True)


def test_a_picture_reduced_for_another_model_is_decoded_anew(environment: Clock) -> None:
    """After a reload a camera's last picture may still be as small as the model before needed it:
    it is decoded from its JPEG as the new one needs it, never enlarged."""
    scene = Scene(environment, every=500)
    scene.model.blind = True
    small, reduced = scene.picture.decode(8)
    assert reduced == 8

    def judged(decoding: str) -> NDArray[np.uint8]:
        seen: list[NDArray[np.uint8]] = []
        inspector = replace(
            scene.judge.inspector,
            input=InputSpec(width=32, height=32),
            decoding="reduced" if decoding == "reduced" else "whole",
            classify=Seeing(seen),
        )
        one = Judge(inspector, Provenance("line1", "c", "b"), environment, None)
        frame = Frame("top", 1, small, 0.0, 0.0, encoded=scene.picture, reduced=8)
        assert one(frame).frame_width == SIDE
        return seen[0]

    at = InputSpec(width=32, height=32)
    quarter, whole = scene.picture.decode(4)[0], scene.picture.decode()[0]
    assert np.array_equal(judged("reduced"), to_model_input(quarter, at, reduced=4))
    assert np.array_equal(judged("whole"), to_model_input(whole, at))


class Seeing:
    """A model that remembers what it was shown."""

    def __init__(self, seen: list[NDArray[np.uint8]]) -> None:
        self._seen = seen

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classifies."""
        self._seen.append(picture.copy())
        return np.array([0.95, 0.05], np.float32)

    def clone(self) -> "Seeing":
        """The same."""
        return self
