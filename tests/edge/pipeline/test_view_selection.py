"""Which view a picture is cut by: exactly one."""

from dataclasses import replace
from typing import Any

import pytest

from edge.config import CameraConfig
from edge.core.errors import ConfigError, RefusedError
from edge.core.view import ViewConfig
from edge.inspection.inspector import Inspector
from edge.inspection.preprocessing import InputSpec
from edge.pipeline.view_selection import (
    UNNAMED_CAMERA,
    check_views,
    choose_camera,
    disagreement,
    image_profiles,
    view_of,
)
from tests.support.scripted_model import ScriptedModel, inspector_with

TURNED = {"rotate": 90}
REGIONS = {
    "regions": [{"id": "l", "region": [0, 0, 0.5, 1]}, {"id": "r", "region": [0.5, 0, 0.5, 1]}]
}


def camera(name: str = "top", **options: Any) -> CameraConfig:
    """A camera's section of config.yaml."""
    return CameraConfig.read({"id": name, "source": "test:", **options})


def input_spec(view: dict[str, Any] | None = None) -> InputSpec:
    """A model's recipe."""
    return InputSpec.read({"width": 16, "height": 16, "view": view})


def inspector(view: dict[str, Any] | None = None) -> Inspector:
    """An inspector of a model that was trained with a view, or without."""
    made = inspector_with(ScriptedModel([1.0, 0.0], lambda: None))
    return replace(made, input=input_spec(view))


@pytest.mark.parametrize(
    ("problem", "model", "rotate"),
    [
        ({}, None, 0),
        ({}, TURNED, 90),
        ({"view": {"rotate": 180}}, None, 180),
        ({"view": {"rotate": 180}}, TURNED, 180),
        ({"view": TURNED}, TURNED, 90),
        ({"view": {}}, TURNED, 0),
        ({"view": None}, TURNED, 90),
    ],
)
def test_the_cameras_view_else_the_models(
    problem: dict[str, Any], model: dict[str, Any] | None, rotate: int
) -> None:
    """What config.yaml says counts, `view: {}` too; where it is silent, what the model says."""
    assert view_of(camera(**problem), input_spec(model)).rotate == rotate


def test_another_view_than_the_models_is_said() -> None:
    """Only where both speak and differ; the words say when that is right."""
    assert disagreement(camera(), input_spec(TURNED)) is None
    assert disagreement(camera(view=TURNED), input_spec()) is None
    assert disagreement(camera(view={**TURNED, "mirror": "none"}), input_spec(TURNED)) is None
    problem = disagreement(camera(view={"rotate": 270}), input_spec(TURNED))
    assert problem is not None
    assert problem.startswith("camera top: its view is not the one that the model was trained with")


def test_views_are_checked_against_the_size_at_the_start() -> None:
    """Every view that exceeds its camera's size is an error before a camera is opened."""
    outside = {"region": [0, 0, 641, 480]}
    cameras = [
        camera("a", view=outside, width=640, height=480),
        camera("b", view={"region": [0, 0, 640, 480]}, width=640, height=480),
        camera("c", width=20, height=20),
        camera("d", view=outside),
    ]
    with pytest.raises(ConfigError) as error:
        check_views(cameras, input_spec({"region": [0, 0, 0.1, 1]}))
    problem = error.value.problems
    assert len(problem) == 2
    assert problem[0].startswith("camera a: view.region reaches to 641,480, outside the picture")
    assert problem[1].startswith("camera c: view.region is only 2×20 pixels")
    check_views(cameras[1:2], input_spec())


def test_without_a_name_it_is_the_only_camera() -> None:
    """One camera needs no name; several with the same view need none either."""
    one = image_profiles([camera()], inspector())
    assert choose_camera(one, None) == "top"
    two = image_profiles([camera(), camera("side", view=TURNED)], inspector(TURNED))
    assert choose_camera(two, None) == UNNAMED_CAMERA
    assert choose_camera(two, "side") == "side"


@pytest.mark.parametrize(
    ("name", "words"), [(None, "top, side have different views"), ("x", "no camera 'x'")]
)
def test_a_camera_that_must_be_named(name: str | None, words: str) -> None:
    """Where views differ a camera must be named; the error lists the right names."""
    two = image_profiles([camera(), camera("side", view=TURNED)], inspector())
    with pytest.raises(RefusedError, match=words):
        choose_camera(two, name)


def test_one_verdict_is_that_of_the_worst_region() -> None:
    """With `one_verdict` the worst region decides; the camera's trigger does not count."""
    cameras = [camera(view=REGIONS, trigger={"kind": "request", "frames": 3})]
    each = image_profiles(cameras, inspector())["top"]
    worst = image_profiles(cameras, inspector(), one_verdict=True)["top"]
    assert (each.crop.worst_decides, worst.crop.worst_decides) == (False, True)
    assert worst.trigger.frames == 1
    assert view_of(cameras[0], None) == ViewConfig.read(REGIONS)
