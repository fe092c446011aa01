"""Parts and recipes: each verdict belongs to the recipe that its part asked for, or is `error`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Config, for_recipe
from edge.config.loader import parse_config
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.frame import Frame
from edge.core.part import Part, PartFrame
from edge.core.verdict import RecipeIdentity, Verdict
from edge.core.view import ViewConfig
from edge.inspection import Inspector, ViewCrop
from edge.pipeline.build import build_inspector
from edge.pipeline.camera_recipes import CameraRecipes, CameraSettings
from edge.pipeline.frame_inspector import CameraProfile
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.recipe_models import RecipeModels
from edge.pipeline.recipe_selection import NothingStored, RecipeSelection
from edge.pipeline.worker import InspectionWorker
from tests.support.clock import FakeClock
from tests.support.frames import solid
from tests.support.heavy_model import build_heavy_inspector
from tests.support.models import MODELS
from tests.support.scripted_model import ScriptedModel, Sink, inspector_with

MODEL = MODELS / "redness.tflite"
RECIPES: list[dict[str, Any]] = [
    {"number": 1, "name": "A"},
    {"number": 2, "name": "B", "cameras": {"top": {"trigger": {"delay_ms": 50}}}},
    {"number": 3, "name": "C", "cameras": {"top": {"trust": {"dark_below": 40}}}},
]


def configuration(recipes: list[dict[str, Any]], **model: Any) -> Config:
    """One camera that is triggered by request."""
    camera = {"id": "top", "source": "test:", "trigger": {"kind": "request", "queue": 20}}
    text = yaml.safe_dump(
        {
            "station": "line1",
            "model": {"path": str(MODEL), **model},
            "cameras": [camera],
            "recipes": recipes,
        }
    )
    return parse_config(text, "config.yaml", Path("/cfg"))


CONFIG = configuration(RECIPES)


class RecipeBox:
    """A camera with recipes, from its tracker to its verdicts, on a clock that a test sets. The
    model of recipe N gives the score N / 10."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        environment = Clock(self.clock.now, self.clock.tick)
        names = {one.number: one.name for one in CONFIG.recipes}
        self.selection = RecipeSelection(names, NothingStored(), environment)
        settings: dict[int, CameraSettings] = {
            number: CameraSettings(for_recipe(CONFIG, number).cameras[0], ViewConfig())
            for number in names
        }
        self.recipes = CameraRecipes(
            CameraSettings(CONFIG.cameras[0], ViewConfig()), settings, self.selection, self.why
        )
        self.tracker = PartTracker(
            "top", CONFIG.cameras[0].trigger, environment, recipes=self.recipes
        )
        self.mailbox = Mailbox({"top": self.tracker})
        self.verdicts: list[Verdict] = []
        judges = {
            number: self.judge(environment, number / 10, RecipeIdentity(number, name))
            for number, name in names.items()
        }
        self.judges = Judges(self.judge(environment, 0.9, None), judges, names)
        sink = Sink(self.verdicts.append)
        self.worker = InspectionWorker(self.mailbox, self.judges, sink, environment)
        self.seq = 0

    @staticmethod
    def judge(environment: Clock, score: float, recipe: RecipeIdentity | None) -> Judge:
        """A judge that gives each picture this score."""
        inspector = inspector_with(ScriptedModel([1 - score, score], lambda: None))
        provenance = Provenance("line1", "0123456789ab", "b-1", recipe)
        profile = CameraProfile(ViewCrop(ViewConfig()), CONFIG.cameras[0].trigger)
        return Judge(inspector, provenance, environment, None, profiles={"top": profile})

    def why(self, number: int | None) -> str | None:
        """As `RecipeModels.why_unusable`."""
        if number is None:
            return "no recipe is chosen"
        return None if number in self.selection.names else f"recipe {number} is not in config.yaml"

    def show(self, captured: float | None = None) -> None:
        """The camera delivers a frame that was captured now, or at a time before."""
        self.seq += 1
        at = self.clock.at if captured is None else captured
        number = self.recipes.at(at)[0]
        self.mailbox.offer(Frame("top", self.seq, solid(9), at, at, recipe=number))

    def judge_all(self) -> None:
        """Runs the worker until nothing waits."""
        while (work := self.mailbox.take(0)) is not None:
            self.worker.run_once(work)
        self.worker.run_once(None)


def test_none_chosen_is_an_error() -> None:
    """A trigger before any recipe is refused, and its part gets `error` with the reason."""
    box = RecipeBox()
    with pytest.raises(TriggerError, match="no recipe is chosen"):
        box.tracker.trigger("request", "P")
    box.judge_all()
    ((verdict,),) = [box.verdicts]
    assert (verdict.part, verdict.verdict, verdict.recipe) == ("P", "error", None)
    assert "no recipe is chosen" in str(verdict.reason)


def test_an_unknown_recipe_never_gets_the_verdict_of_the_one_before() -> None:
    """The part that asks for it gets `error`, and so does each part until another is chosen."""
    box = RecipeBox()
    box.selection.choose("top", 1, "x")
    for name, recipe in (("P", 99), ("Q", None)):
        with pytest.raises(TriggerError, match="recipe 99 is not in config"):
            box.tracker.trigger("request", name, recipe=recipe)
    box.tracker.trigger("request", "R", recipe=2)
    box.clock.at += 0.06
    box.show()
    box.judge_all()
    found = [(v.part, v.verdict, v.recipe and v.recipe.number) for v in box.verdicts]
    assert found == [("P", "error", 99), ("Q", "error", 99), ("R", "pass", 2)]
    assert box.verdicts[0].recipe == RecipeIdentity(99, None)


def test_a_change_does_not_touch_an_accepted_part() -> None:
    """A part keeps the recipe of its trigger, whatever is chosen before its picture comes."""
    box = RecipeBox()
    box.tracker.trigger("request", "P", recipe=1)
    box.selection.choose("top", 2, "x")
    box.clock.at += 0.01
    box.show()
    box.judge_all()
    (verdict,) = box.verdicts
    assert verdict.recipe == RecipeIdentity(1, "A")
    assert verdict.score == pytest.approx(0.1)


def test_other_camera_settings_end_a_part_that_waits() -> None:
    """Recipe 3 has other trust limits: a picture that was checked by them is not for a part of
    recipe 1, which gets `error`. A picture from before the change is."""
    box = RecipeBox()
    box.tracker.trigger("request", "P", recipe=1)
    box.tracker.trigger("request", "Q", recipe=1)
    before = box.clock.at
    box.clock.at += 0.01
    box.selection.choose("top", 3, "x")
    box.show(captured=before)
    box.show()
    box.judge_all()
    assert [(v.part, v.verdict) for v in box.verdicts] == [("P", "pass"), ("Q", "error")]
    assert "recipe 3 was chosen before the picture of this part" in str(box.verdicts[1].reason)


def test_times_are_those_of_the_part_s_recipe() -> None:
    """A delay of recipe 2 holds for its parts only, also when a part of recipe 1 came later."""
    box = RecipeBox()
    box.tracker.trigger("request", "P", recipe=2)
    box.tracker.trigger("request", "Q", recipe=1)
    box.clock.at += 0.02
    box.show()
    box.clock.at += 0.04
    box.show()
    box.judge_all()
    assert [(v.part, v.frame_seq) for v in box.verdicts] == [("Q", 1), ("P", 2)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("choose"), st.sampled_from([1, 2, 99])),
        st.tuples(st.just("trigger"), st.sampled_from([None, 1, 2, 99])),
        st.tuples(st.just("frame"), st.floats(0.0, 0.1)),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_verdict_has_the_recipe_that_its_part_asked_for(steps: list[tuple[str, Any]]) -> None:
    """In any order of changes, triggers and frames: each part gets at most one verdict, it carries
    the recipe of its trigger, and a judged one has the score of that recipe's model."""
    box = RecipeBox()
    asked: dict[str, int | None] = {}
    for number, (what, value) in enumerate(steps):
        if what == "choose":
            box.selection.choose("top", value, "x")
        elif what == "trigger":
            name = f"P{number}"
            asked[name] = box.selection.current("top") if value is None else value
            try:
                box.tracker.trigger("request", name, recipe=value)
            except TriggerError:
                assert asked[name] not in (1, 2) or box.tracker.open > 20
        else:
            box.clock.at += value
            box.show()
        box.judge_all()
    parts = [v.part for v in box.verdicts]
    assert len(parts) == len(set(parts))
    for verdict in box.verdicts:
        recipe = verdict.recipe.number if verdict.recipe else None
        assert recipe == asked[str(verdict.part)]
        if verdict.verdict != "error":
            assert recipe is not None
            assert verdict.score == pytest.approx(recipe / 10)


def test_frames_without_a_part_carry_their_own_recipe() -> None:
    """A continuous camera's frame is judged by the recipe of its capture; without one, `error`."""
    box = RecipeBox()
    pixels = np.full((24, 32, 3), 9, np.uint8)
    for number in (None, 1, 2, 99):
        box.worker.run_once(Frame("free", 1, pixels, 0.0, box.clock.at, recipe=number))
    found = [(v.verdict, v.recipe and v.recipe.number) for v in box.verdicts]
    assert found == [("error", None), ("pass", 1), ("pass", 2), ("error", 99)]


def test_a_recipe_that_was_unloaded_gives_an_error() -> None:
    """Its parts get `error`; when it is loaded again, verdicts."""
    box = RecipeBox()
    judge = box.judges.of(1)
    assert isinstance(judge, Judge)
    part = Part("top", 1, "request", "P", None, 0.0, 0.0, 0.0, 0.0, 1e9, 1, recipe=1)
    box.judges.drop(1)
    box.worker.run_once(PartFrame(part, None, "gone", refused=True))
    box.judges.put(1, judge)
    assert box.judges.of(1) is judge
    assert [(v.verdict, v.reason) for v in box.verdicts] == [("error", "gone")]


class Builds:
    """Builds heavy models, and counts them."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, config: Config, file: Path | None) -> Inspector:
        """As `build_inspector`."""
        self.paths.append(config.model.path.name)
        return build_heavy_inspector(config, file)


def models(config: Config, used: Mapping[str, int] | None = None) -> tuple[RecipeModels, Builds]:
    """The models of a configuration. `used`: the current numbers."""
    builds = Builds()
    common = build_inspector(config)
    in_use = dict(used or {})
    return RecipeModels(config, common, in_use=in_use.values, build=builds), builds


@pytest.fixture
def three(tmp_path: Path) -> Config:
    """Three recipes, each with a model file of its own."""
    for name in "abc":
        (tmp_path / f"{name}.tflite").write_bytes(MODEL.read_bytes())
    recipes = [
        {"number": n, "name": name, "model": str(tmp_path / f"{name}.tflite")}
        for n, name in enumerate("abc", 1)
    ]
    return configuration(recipes)


@pytest.mark.inference
def test_recipes_of_one_model_share_it() -> None:
    """Only thresholds differ: nothing is loaded twice."""
    config = configuration(
        [
            {"number": 1, "name": "A", "decision": {"reject_at": 0.9}},
            {"number": 2, "name": "B", "decision": {"reject_at": 0.5}},
        ]
    )
    loaded, builds = models(config)
    assert builds.paths == []
    one, two = loaded.loaded[1], loaded.loaded[2]
    assert one.classify is two.classify
    assert (one.thresholds.reject_at, two.thresholds.reject_at) == (0.9, 0.5)


@pytest.mark.inference
def test_beyond_the_budget_the_least_needed_goes(three: Config) -> None:
    """All are checked at the start; as many stay as fit, those in use in any case. A recipe that
    was unloaded says so, and is loaded when it is needed."""
    fits_two = three.replace(model=three.model.replace(recipes_mb=2.5))
    loaded, builds = models(fits_two, {"top": 1})
    assert sorted(builds.paths) == ["a.tflite", "b.tflite", "c.tflite"]
    assert sorted(loaded.loaded) == [1, 3]
    assert loaded.on_demand == {2: loaded.load_s[2]}
    assert "is being loaded" in str(loaded.why_unusable(2))
    assert not loaded.need(2)
    assert loaded.load(2) == [3]
    assert loaded.why_unusable(2) is None
    assert loaded.load(3) == [2]  # 1 is the oldest now, but in use


@pytest.mark.inference
def test_a_recipe_that_cannot_be_used_does_not_stop_the_others(three: Config) -> None:
    """A damaged model is a fault of its recipe, with the reason; the others judge."""
    path = three.recipes[1].model
    assert path is not None
    path.write_bytes(b"no model")
    loaded, _ = models(three)
    assert sorted(loaded.loaded) == [1, 3]
    assert "not a TFLite model" in str(loaded.why_unusable(2))
    assert loaded.need(2)  # trying again would give the same


def test_unknown_numbers_are_listed() -> None:
    """The reason names the recipes that exist."""
    loaded = RecipeModels(None, inspector_with(ScriptedModel([1, 0], lambda: None)))
    assert loaded.why_unusable(None) is None
    assert loaded.why_unusable(5) == "recipe 5 is not in config.yaml (recipes: none)"
