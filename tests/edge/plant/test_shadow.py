"""A candidate judges along on live parts. The tests run its thread's work themselves."""

import gc
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.config import Config, load_config
from edge.core.clock import Clock
from edge.core.errors import RefusedError
from edge.core.frame import Frame
from edge.core.part import Part
from edge.core.verdict import RecipeIdentity, Verdict
from edge.inspection.interpreter import TFLiteClassifier
from edge.models import open_store
from edge.pipeline import Judge, build_inspector, build_judge
from edge.plant import (
    ModelsService,
    RollbackRequest,
    Shadow,
    ShadowReport,
    ShadowRequest,
    SwitchRequest,
    VerdictDelivery,
)
from tests.support.frames import solid
from tests.support.model_versions import write_version
from tests.support.runtimes import installed_runtimes

pytestmark = pytest.mark.inference
LENIENT: dict[str, Any] = {"reject_at": 0.95, "review_from": 0.7}
CONFIG = """station: line1
cameras: [{{id: top, source: "test:", width: 64, height: 48{camera}}}]
model: {{path: redness}}
models: {{path: versions}}
{more}
"""


class Box:
    """A daemon's shadow, models and live judge, without its threads."""

    def __init__(self, folder: Path, camera: str = "", more: str = "") -> None:
        self.folder, self.busy, self._seq = folder, False, 0
        self.write(camera, more)
        self.shadow = self.new_shadow()
        self.models = ModelsService(self.config, take_over=self.reload, shadow=self.shadow)
        self.models.install(write_version(folder / "1.tflite", "1"), "kim")
        self.models.activate(SwitchRequest(version="redness@1", by="kim"))
        self.models.install(write_version(folder / "2.tflite", "2", **LENIENT), "kim")

    def write(self, camera: str = "", more: str = "") -> None:
        """Writes config.yaml, as a reload takes it over."""
        path = self.folder / "config.yaml"
        path.write_text(CONFIG.format(camera=camera, more=more))
        self._config = load_config(path, check_files=False)

    def config(self) -> Config:
        """The running one."""
        return self._config

    def reload(self) -> None:
        """A new object with the same values."""
        self._config = load_config(self.folder / "config.yaml", check_files=False)

    def new_shadow(self) -> Shadow:
        """As a new process has it."""
        return Shadow(self.config, Clock(), lambda: self.busy)

    def begin(self, version: str | None = "redness@2") -> ShadowReport:
        """`models shadow`, and the thread has loaded it."""
        found = self.models.shadow(ShadowRequest(version=version, by="lee"))
        self.shadow.run_once()
        return found

    def live(self) -> Judge:
        """The active version."""
        return build_judge(self._config, build_inspector(self._config), Clock(), None)

    def part(self, red: int, judge: Judge | None = None, **changes: Any) -> None:
        """A part of this red, offered with its verdicts."""
        frame, verdicts = self.judged(red, judge)
        for verdict in verdicts:
            self.shadow.offer([frame], replace(verdict, **changes))

    def judged(self, red: int, judge: Judge | None = None) -> tuple[Frame, list[Verdict]]:
        """A frame and its live verdicts."""
        self._seq += 1
        frame = Frame("top", self._seq, solid(red), 1e9, 1000.0)
        return frame, (judge or self.live()).judge(frame)

    def run(self, reds: Sequence[int]) -> None:
        """Live parts, each judged along at once."""
        judge = self.live()
        for red in reds:
            self.part(red, judge)
            self.shadow.run_once()

    def report(self) -> ShadowReport:
        """The figures; there are some."""
        found = self.shadow.report()
        assert found is not None
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """redness@1 is active, redness@2 installed."""
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")
    return Box(tmp_path)


def test_what_both_versions_say_is_counted(box: Box) -> None:
    """Agreement, flips by direction, and the times of both."""
    assert box.shadow.report() is None
    assert not box.shadow.wants_all_frames
    begun = box.begin()
    assert (begun.title, begun.by, begun.judged) == ("redness@2", "lee", 0)
    box.run([0, 40, 130, 255])  # pass, pass, review, fail
    found = box.report()
    assert (found.judged, found.skipped) == (4, 0)
    flips = {(one.active, one.candidate): one.parts for one in found.flips}
    assert flips[("review", "pass")] == 1
    assert found.agreement is not None
    assert found.agreement.share == pytest.approx(1 - sum(flips.values()) / 4)
    assert found.inference_ms.p50
    assert found.active_inference_ms.p50
    assert box.models.listing().shadow == found
    last = box.models.shadow(ShadowRequest(by="lee"))
    assert last == found
    assert box.shadow.report() is None
    with pytest.raises(RefusedError, match="no version judges along; begin with"):
        box.models.shadow(ShadowRequest(by="lee"))


def test_the_newest_part_wins_and_the_others_are_counted(box: Box) -> None:
    """One part waits; none waits while frames wait for a worker, before or after it was offered."""
    box.begin()
    judge = box.live()
    for red in (0, 0, 130):
        box.part(red, judge)
    box.shadow.run_once()
    found = box.report()
    assert (found.judged, found.skipped) == (1, 2)
    assert [one.active for one in found.flips] == ["review"]
    box.busy = True
    box.part(0, judge)
    assert box.report().skipped == 3
    box.busy = False
    box.part(0, judge)
    box.busy = True
    box.shadow.run_once()
    assert (box.report().judged, box.report().skipped) == (1, 4)


def test_what_it_does_not_judge(box: Box) -> None:
    """Errors, verdicts of another model, and of a version before a reload."""
    box.begin()
    frame, (verdict,) = box.judged(0)
    box.shadow.offer([frame], replace(verdict, verdict="error"))
    assert verdict.model is not None
    box.shadow.offer([frame], replace(verdict, model=replace(verdict.model, name="caps")))
    assert box.report().skipped == 0
    box.shadow.offer([frame], replace(verdict, config="another"))
    box.shadow.run_once()
    assert (box.report().judged, box.report().skipped) == (0, 1)


def test_one_inference_a_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view with a verdict for each region: all verdicts are compared, no region twice, also when
    the second verdict comes later than the first was judged."""
    regions = "[{id: left, region: [0, 0, 0.5, 1]}, {id: right, region: [0.5, 0, 0.5, 1]}]"
    box = Box(tmp_path, camera=f", view: {{regions: {regions}, verdict: each}}")
    box.begin()
    judge = box.live()
    frame, verdicts = box.judged(130, judge)
    assert len(verdicts) == 2
    calls: list[object] = []
    before = TFLiteClassifier.__call__

    def counted(self: TFLiteClassifier, picture: Any) -> Any:
        calls.append(picture)
        return before(self, picture)

    monkeypatch.setattr(TFLiteClassifier, "__call__", counted)
    box.shadow.offer([frame], verdicts[0])
    box.shadow.run_once()
    box.shadow.offer([frame], verdicts[1])
    box.shadow.run_once()
    assert (box.report().judged, len(calls)) == (2, 2)
    other, more = box.judged(0, judge)
    calls.clear()
    for verdict in more:
        box.shadow.offer([other], verdict)
    box.shadow.run_once()
    assert (box.report().judged, len(calls)) == (4, 2)


def test_a_part_of_several_frames(tmp_path: Path) -> None:
    """By the rule of its trigger, with all frames or not at all; its deadline is not the
    candidate's."""
    box = Box(tmp_path, camera=", trigger: {kind: request, frames: 2, rule: worst}")
    box.begin()
    assert box.shadow.wants_all_frames
    judge = box.live()
    frames = [Frame("top", n, solid(red), 1e9, 1000.0) for n, red in enumerate((0, 130), 1)]
    now = Clock().tick()
    part = Part("top", 1, "request", None, None, 1e9, now, now, now + 9, now + 60, 2)
    (verdict,) = judge.conclude("top", [judge.inspect(one) for one in frames], part)
    assert verdict.verdict == "review"
    late = replace(verdict, trigger=replace(part, until=now - 1))
    box.shadow.offer([frames[1], frames[0].without_picture()], late)
    assert box.report().skipped == 1
    box.shadow.offer([frames[1], frames[0]], late)
    box.shadow.run_once()
    found = box.report()
    assert (found.judged, found.skipped) == (1, 1)
    assert [(one.active, one.candidate) for one in found.flips] == [("review", "pass")]


def test_each_recipe_has_its_thresholds(tmp_path: Path, redness_model: Path) -> None:
    """As if the candidate were active; the parts of a recipe with another model do not count."""
    box = Box(
        tmp_path,
        more=f"""
recipes:
  - {{number: 1, name: caps, decision: {{reject_at: 0.6, review_from: 0.4}}}}
  - {{number: 2, name: nuts, model: {redness_model}}}
""",
    )
    box.begin()
    for number in (1, 2):
        box.part(130, recipe=RecipeIdentity(number, "x"))
        box.shadow.run_once()
    found = box.report()
    assert (found.judged, found.skipped, found.flips) == (1, 0, ())


def classifiers() -> int:
    """How many models this process has in memory."""
    gc.collect()
    return sum(isinstance(one, TFLiteClassifier) for one in gc.get_objects())


@pytest.mark.parametrize("how", ["stop", "activate", "seen"])
def test_its_memory_is_released(box: Box, how: str) -> None:
    """When it is ended, when it becomes the active version, and when a live verdict is by it."""
    before = classifiers()
    box.begin()
    assert classifiers() == before + 1
    if how == "stop":
        box.begin(None)
    elif how == "activate":
        box.models.activate(SwitchRequest(version="redness@2", by="lee"))
        box.shadow.run_once()
    else:
        open_store(box.config()).activate(open_store(box.config()).find("redness@2"), "lee")
        box.part(0)
        box.shadow.run_once()
        box.shadow.run_once()
    assert box.shadow.report() is None
    assert not box.shadow.wants_all_frames
    assert classifiers() == before
    assert box.new_shadow().report() is None


def test_a_rollback_to_it_ends_it(box: Box) -> None:
    """The same, by way of `rollback`."""
    box.models.activate(SwitchRequest(version="redness@2", by="kim"))
    box.begin("redness@1")
    box.run([0])
    box.models.rollback(RollbackRequest(by="lee"))
    assert box.shadow.report() is None


def test_another_active_version_begins_anew(box: Box) -> None:
    """Figures against two versions are not added; a changed config.yaml counts anew too."""
    box.begin()
    box.run([0, 130])
    assert box.report().judged == 2
    box.models.install(write_version(box.folder / "3.tflite", "3", **LENIENT), "kim")
    store = open_store(box.config())
    store.activate(store.find("redness@3"), "kim")  # its verdicts may come before the reload's end
    box.run([0, 130])
    found = box.report()
    assert (found.judged, found.flips) == (2, ())
    assert found.active == open_store(box.config()).active("redness").sha256
    box.write(more="decision: {reject_at: 0.9, review_from: 0.1}")
    box.run([130])
    assert (box.report().judged, box.report().flips) == (1, ())


def test_a_restart_goes_on_with_it(box: Box) -> None:
    """With figures from zero. A version that is gone by then is a fault, and nothing else."""
    box.begin()
    box.run([0])
    box.shadow = box.new_shadow()
    assert (box.report().title, box.report().by, box.report().judged) == ("redness@2", "lee", 0)
    box.run([0])
    assert box.report().judged == 1
    version = open_store(box.config()).find("redness@2")
    path = open_store(box.config()).path_of(version.sha256)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    box.shadow = box.new_shadow()
    box.run([0])
    assert "redness@2 has changed since it was installed" in (box.report().fault or "")
    assert box.report().judged == 0


def test_refusals(box: Box) -> None:
    """One sentence each, and nothing begins."""

    def refuses(sentence: str, version: str = "redness@2") -> None:
        with pytest.raises(RefusedError, match=sentence):
            box.models.shadow(ShadowRequest(version=version, by="lee"))
        assert box.shadow.report() is None

    refuses("redness@1: is active already; only another version can be", "redness@1")
    refuses("redness@9: no such version", "redness@9")
    box.models.install(write_version(box.folder / "c.tflite", "1", name="caps"), "kim")
    refuses("caps@1: config.yaml names caps neither in model.path nor in a recipe", "caps@1")
    (box.folder / "versions" / "shadow.json").mkdir()
    refuses("shadow.json: cannot be written")
    (box.folder / "versions" / "shadow.json").rmdir()
    with pytest.raises(RefusedError, match="no daemon runs, and a version judges along only"):
        ModelsService(box.config).shadow(ShadowRequest(version="redness@2", by="lee"))
    box.begin()
    with pytest.raises(RefusedError, match="redness@2: judges along; end that first"):
        box.models.remove("redness@2")
    assert box.models.listing().shadow is not None


def test_a_damaged_record_is_none(box: Box) -> None:
    """Nothing judges along after the next start."""
    box.begin()
    path = box.folder / "versions" / "shadow.json"
    assert json.loads(path.read_text())["schema"] == "edge-inspect/model-shadow/1"
    path.write_text("{")
    assert box.new_shadow().report() is None


def test_a_shadow_that_fails_costs_no_verdict(box: Box) -> None:
    """As any accessory. All frames of a part are kept for it, also without an archive."""
    offered: list[Verdict] = []

    class Failing:
        wants_all_frames = True

        def offer(self, frames: Sequence[Frame], verdict: Verdict) -> None:
            assert frames
            offered.append(verdict)
            raise ValueError("broken")

    nothing = SimpleNamespace(keep=lambda *_: None, offer=lambda *_: None, archive=None)
    parts = [cast(Any, nothing)] * 4
    frame, (verdict,) = box.judged(0)
    without = VerdictDelivery(*parts)
    without.keep([frame], verdict)
    assert not without.keeps_all_frames()
    delivery = VerdictDelivery(*parts, shadow=Failing())
    delivery.keep([frame], verdict)
    assert offered == [verdict]
    assert delivery.keeps_all_frames()
    (fault,) = delivery.accessory_faults()
    assert "the shadow failed" in fault
