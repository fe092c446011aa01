"""A view inside the model file: applied once, in training, conversion and on the box alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.errors import ModelError, PictureError, RefusedError
from edge.core.terms import Runtime
from edge.core.validation import ValidationError
from edge.core.view import ViewConfig
from edge.inspection.inspector import load_inspector
from edge.inspection.model_file import GoldenPicture, load_model_file
from edge.inspection.preprocessing import InputSpec, apply_view, preprocess, to_model_input
from edge.inspection.view_crop import ViewCrop
from tests.edge.inspection.conftest import Repack, with_members
from tests.models.make import redness

VIEW = {
    "perspective": [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]],
    "rotate": 90,
    "mirror": "horizontal",
    "region": [0, 0, 0.5, 1],
}


def spec(**options: Any) -> InputSpec:
    """An input spec of 16×16."""
    return InputSpec.read({"width": 16, "height": 16, **options})


def red_where_the_view_looks(red: int) -> NDArray[np.uint8]:
    """160×160, BGR: `red` inside VIEW, blue in the middle's other half, red around."""
    pixels = np.full((160, 160, 3), (0, 0, 255), np.uint8)
    # turned clockwise and mirrored, the left half of the result is the top half of the middle,
    # turned to the right side and back
    middle = pixels[40:120, 40:120]
    middle[:] = (255, 0, 0)
    middle[:40] = (90, 60, red)
    return pixels


def png(pixels: NDArray[np.uint8]) -> bytes:
    """As a file."""
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def test_the_recipe_cuts_as_the_camera_would() -> None:
    """Preprocessing with a view gives the same pixels as the daemon's own cut."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)
    input_spec = spec(view=VIEW, region=[0.1, 0.1, 0.8, 0.8])
    (cut,) = ViewCrop(ViewConfig.read(VIEW)).cut(pixels).values()
    assert np.array_equal(apply_view(pixels, input_spec), cut)
    assert np.array_equal(preprocess(pixels, input_spec), to_model_input(cut, input_spec))
    assert not np.array_equal(preprocess(pixels, input_spec), to_model_input(pixels, input_spec))


def test_a_view_comes_before_the_region() -> None:
    """The region applies to the picture after the view."""
    pixels = red_where_the_view_looks(200)
    left = apply_view(pixels, spec(view=VIEW))
    assert left.shape == (80, 40, 3)
    assert (left[2:-2, 2:-2] == (90, 60, 200)).all()


def test_a_recipe_without_a_view_is_written_as_before() -> None:
    """Older boxes accept a file without a view, and refuse one with a view."""
    assert "view" not in spec().to_dict()
    written = json.loads(json.dumps(spec(view=VIEW).to_dict()))
    assert written["view"] == VIEW
    assert InputSpec.read(written) == spec(view=VIEW)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"region": [10, 10, 50, 50]}, "write it in fractions"),
        ({"perspective": [[10, 10], [90, 10], [90, 90], [10, 90]]}, "write it in fractions"),
        ({"regions": [{"id": "a", "region": [0, 0, 1, 1]}]}, "several regions"),
    ],
)
def test_a_view_that_no_model_can_have_is_refused(view: dict[str, Any], words: str) -> None:
    """Pixels fit one camera size only, and regions have no separate labels."""
    with pytest.raises(ValidationError, match=words):
        spec(view=view)


def test_a_picture_too_small_for_the_view_is_one_sentence() -> None:
    """It is a fault of the picture, with the view's key in it."""
    with pytest.raises(PictureError, match=r"view\.region is only 6×12 pixels"):
        preprocess(np.zeros((24, 24, 3), np.uint8), spec(view=VIEW))


@pytest.fixture
def with_view(repack: Repack) -> Callable[..., Path]:
    """`with_view(view, score)`: the model with a view and one golden picture, as a camera took
    it: red where the view looks is 120, elsewhere 255 or 0."""

    def make(view: dict[str, Any] | None, score: float) -> Path:
        golden = (GoldenPicture(file="golden/raw.png", label="ok", score=score),)
        files = {"golden/raw.png": png(red_where_the_view_looks(120))}
        return repack(spec={"input": spec(view=view), "golden": golden}, golden=files)

    return make


@pytest.mark.inference
def test_golden_pictures_are_cut_once(with_view: Callable[..., Path], runtime: Runtime) -> None:
    """Golden pictures are whole camera pictures; the model's view applies once."""
    path = with_view(VIEW, redness(120))
    inspector = load_inspector(path, runtime=runtime)
    assert inspector.check_golden() == 1
    assert load_model_file(path).spec is not None


@pytest.mark.inference
@pytest.mark.parametrize("view", [None, {**VIEW, "rotate": 270}, {**VIEW, "mirror": "none"}])
def test_golden_pictures_notice_another_view(
    view: dict[str, Any] | None, with_view: Callable[..., Path], runtime: Runtime
) -> None:
    """A model whose view is lost, turned or mirrored otherwise does not start."""
    inspector = load_inspector(with_view(view, redness(120)), runtime=runtime)
    with pytest.raises(RefusedError, match=r"golden/raw\.png scores"):
        inspector.check_golden()


@pytest.mark.inference
def test_what_the_camera_has_cut_is_not_cut_again(
    with_view: Callable[..., Path], runtime: Runtime
) -> None:
    """`prepare` takes a picture after the view; a second cut would be redder."""
    inspector = load_inspector(with_view(VIEW, redness(120)), runtime=runtime)
    pixels = red_where_the_view_looks(0)
    pixels[50:60, 60:100, 2] = 255
    cut = apply_view(pixels, inspector.input)
    score = inspector.judge(inspector.prepare(cut)).score
    assert score == pytest.approx(redness(cut[..., 2].mean()), abs=1 / 255)
    twice = apply_view(cut, inspector.input)
    assert abs(redness(twice[..., 2].mean()) - score) > 0.1


def test_a_model_file_with_a_bad_view_is_one_sentence(tflite: bytes, tmp_path: Path) -> None:
    """A view in pixels is refused when the file is read."""
    values = {
        "schema": "edge-inspect/model/1",
        "name": "m",
        "version": "1",
        "input": {"width": 16, "height": 16, "view": {"region": [1, 2, 30, 40]}},
        "output": {"kind": "logits"},
        "thresholds": {"reject_at": 0.6, "review_from": 0.4},
    }
    path = tmp_path / "m.tflite"
    members = {"labels.txt": b"ok\nred\n", "inspection.json": json.dumps(values).encode()}
    path.write_bytes(with_members(tflite, members))
    with pytest.raises(ModelError, match=r"input: .*write it in fractions"):
        load_model_file(path)
