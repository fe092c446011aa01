"""Recipes: merging one over the common part, and every mistake at its place."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Config, for_recipe, pin_numbers
from edge.config.loader import parse_config
from edge.core.errors import ConfigError

CAMERA = {
    "id": "top",
    "source": "v4l2:/dev/video0",
    "controls": {"gain": 1, "focus": 2},
    "trust": {"dark_below": 9},
    "trigger": {"kind": "request", "frames": 2, "queue": 3},
    "view": {"rotate": 90},
}


def parse(*recipes: dict[str, Any], **sections: Any) -> Config:
    """A configuration with these recipes."""
    text = yaml.safe_dump(
        {
            "station": "line1",
            "model": {"path": "common.tflite"},
            "decision": {"review_from": 0.4, "alarm": {"fails": 3}},
            "cameras": [CAMERA, {"id": "side", "source": "test:"}],
            "recipes": list(recipes),
            **sections,
        }
    )
    return parse_config(text, "config.yaml", Path("/cfg"))


def recipe(number: int = 1, name: str = "A", **more: Any) -> dict[str, Any]:
    """One recipe."""
    return {"number": number, "name": name, **more}


def test_what_a_recipe_leaves_out_is_common() -> None:
    """A recipe that names nothing is the common part without the list of recipes."""
    config = parse(recipe())
    assert for_recipe(config, 1) == config.replace(recipes=())


def test_a_recipe_changes_what_it_names() -> None:
    """Sections are merged key by key; a view is replaced as a whole."""
    changes = {
        "view": {"region": [0, 0, 0.5, 0.5]},
        "controls": {"gain": 5},
        "trust": {"min_contrast": 3},
        "trigger": {"delay_ms": 40},
    }
    config = parse(
        recipe(3, "B", model="b.tflite", decision={"reject_at": 0.8}, cameras={"top": changes})
    )
    merged = for_recipe(config, 3)
    top, side = merged.cameras
    assert merged.model.path == Path("/cfg/b.tflite")
    assert (merged.decision.reject_at, merged.decision.review_from) == (0.8, 0.4)
    assert merged.decision.alarm.fails == 3
    assert top.view is not None
    assert (top.view.rotate, top.view.region) == (0, (0, 0, 0.5, 0.5))
    assert top.controls == {"gain": 5, "focus": 2}
    assert (top.trust.dark_below, top.trust.min_contrast) == (9, 3)
    assert (top.trigger.delay_ms, top.trigger.frames, top.trigger.queue) == (40, 2, 3)
    assert side == config.cameras[1]


LIMITS = {
    "dark_below": st.integers(0, 255),
    "bright_above": st.integers(0, 255),
    "min_contrast": st.integers(0, 255),
    "max_age_s": st.floats(0.1, 3600),
}


@given(st.fixed_dictionaries({}, optional=LIMITS), st.fixed_dictionaries({}, optional=LIMITS))
def test_each_key_is_the_recipe_s_else_the_common_one(
    common: dict[str, Any], own: dict[str, Any]
) -> None:
    """Whatever the two parts name, each value comes from the recipe when it names the key."""
    camera = {"id": "top", "source": "test:", "trust": common}
    config = parse(recipe(cameras={"top": {"trust": own}}), cameras=[camera])
    before = config.cameras[0].trust.to_dict()
    assert for_recipe(config, 1).cameras[0].trust.to_dict() == {**before, **own}


def test_the_first_recipe_s_model_is_common_when_each_names_one() -> None:
    """`model.path` may be absent when every recipe names its model, and only then."""
    config = parse(recipe(1, "A", model="a.tflite"), recipe(2, "B", model="b.tflite"), model={})
    assert config.model.path == Path("/cfg/a.tflite")
    with pytest.raises(ConfigError, match=r"model\.path: is missing; add it"):
        parse(recipe(1, "A", model="a.tflite"), recipe(2, "B"), model={})


@pytest.mark.parametrize(
    ("recipes", "sentence"),
    [
        ([recipe(), recipe(1, "B")], "recipes[1].number: recipe 1 has this number too"),
        ([recipe(), recipe(2, "A")], "recipes[1].name: recipe 1 has this name too"),
        ([recipe(65_536)], "recipes[0].number: must be less than or equal to 65535 (got 65536)"),
        ([recipe(-1)], "recipes[0].number: must be greater than or equal to 0 (got -1)"),
        ([recipe(name="")], "recipes[0].name: must have at least 1 character"),
        (
            [recipe(decision={"reject_at": 0.3})],
            "recipes[0].decision: with the common part: review_from 0.4 is above reject_at 0.3",
        ),
        (
            [recipe(decision={"alarm": {"fails": 2}})],
            "recipes[0].decision.alarm: unknown key",
        ),
        (
            [recipe(cameras={"back": {}})],
            "recipes[0].cameras.back: there is no camera 'back' in this file (cameras: top, side)",
        ),
        (
            [recipe(cameras={"top": {"vew": {}}})],
            "recipes[0].cameras.top.vew: unknown key; did you mean 'view'?",
        ),
        (
            [recipe(cameras={"top": {"trigger": {"frames": 40}}})],
            "recipes[0].cameras.top.trigger: with the common part: queue 3 and frames 40 let",
        ),
        (
            [recipe(cameras={"side": {"trigger": {"delay_ms": 4}}})],
            "recipes[0].cameras.side.trigger: does nothing for a continuous trigger; remove it",
        ),
        (
            [recipe(cameras={"side": {"controls": {"gain": 4}}})],
            "recipes[0].cameras.side.controls: does nothing for a test: source; remove it",
        ),
    ],
)
def test_a_mistake_has_its_place(recipes: list[dict[str, Any]], sentence: str) -> None:
    """Each mistake of a recipe is one sentence with its line, column, key and fix."""
    with pytest.raises(ConfigError) as caught:
        parse(*recipes)
    (problem,) = caught.value.problems
    assert sentence in problem
    line = int(problem.split(":")[1])
    assert line > 1


PINS = {"code": [5, 6], "strobe": 13}


@pytest.mark.parametrize(
    ("camera", "outputs", "sentence"),
    [
        (
            {"recipe_pins": {"code": [5, 6], "strobe": 6}},
            {},
            (
                "cameras[0].recipe_pins.strobe: "
                "cameras[0].recipe_pins.code[1] has this pin too; give each its own (got 6)"
            ),
        ),
        (
            {"recipe_pins": {"code": [5, 5], "strobe": 6}},
            {},
            (
                "cameras[0].recipe_pins.code[1]: "
                "cameras[0].recipe_pins.code[0] has this pin too; give each its own (got 5)"
            ),
        ),
        (
            {"recipe_pins": PINS, "trigger": {"kind": "gpio", "pin": 13}},
            {},
            "cameras[0].recipe_pins.strobe: cameras[0].trigger.pin has this pin too; give each",
        ),
        (
            {"recipe_pins": PINS, "outputs": {"pass": 5}},
            {},
            "cameras[0].recipe_pins.code[0]: cameras[0].outputs.pass has this pin too; give each",
        ),
        (
            {"recipe_pins": PINS},
            {"alive": 6},
            "decision.outputs.alive: cameras[0].recipe_pins.code[1] has this pin too; give each",
        ),
        ({"recipe_pins": {"code": [], "strobe": 6}}, {}, "cameras[0].recipe_pins.code: must have"),
        (
            {"recipe_pins": {"code": list(range(17)), "strobe": 20}},
            {},
            "cameras[0].recipe_pins.code: must have at most 16",
        ),
        ({"recipe_pins": {"code": [28], "strobe": 2}}, {}, "recipe_pins.code[0]: must be less"),
        ({"recipe_pins": {"code": [2]}}, {}, "cameras[0].recipe_pins.strobe: is missing"),
    ],
)
def test_each_pin_has_one_use(
    camera: dict[str, Any], outputs: dict[str, int], sentence: str
) -> None:
    """A pin of a recipe's code that something else uses is refused where it stands."""
    with pytest.raises(ConfigError) as caught:
        parse(
            recipe(),
            cameras=[{"id": "top", "source": "test:", **camera}],
            decision={"outputs": outputs},
        )
    (problem,) = caught.value.problems
    assert sentence in problem


def test_pins_of_two_cameras_are_compared() -> None:
    """Each camera has its own code pins; and without recipes they choose nothing."""
    cameras = [
        {"id": name, "source": "test:", "recipe_pins": copy.deepcopy(PINS)} for name in ("a", "b")
    ]
    with pytest.raises(ConfigError) as caught:
        parse(cameras=cameras)
    assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [
        "cameras[0].recipe_pins: does nothing without recipes; add recipes, or remove it",
        "cameras[1].recipe_pins: does nothing without recipes; add recipes, or remove it",
        *(
            f"cameras[1].recipe_pins.{key}: cameras[0].recipe_pins.{key} has this pin too; "
            f"give each its own (got {pin})"
            for key, pin in (("code[0]", 5), ("code[1]", 6), ("strobe", 13))
        ),
    ]


def test_the_pins_of_a_configuration() -> None:
    """A reload must not open a pin that the old configuration uses."""
    camera = {
        "id": "top",
        "source": "test:",
        "trigger": {"kind": "gpio", "pin": 4},
        "outputs": {"pass": 7, "busy": 8},
        "recipe_pins": PINS,
    }
    config = parse(recipe(), cameras=[camera], decision={"outputs": {"alarm": 20, "alive": 21}})
    assert pin_numbers(config) == {4, 5, 6, 7, 8, 13, 20, 21}
