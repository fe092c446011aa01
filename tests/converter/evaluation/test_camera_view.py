"""A model trained on full camera pictures: the model file carries its view to the box."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from converter.convert import Conversion, ConversionRequest, convert
from converter.evaluation.golden_images import MAX_BYTES, golden_files
from converter.report.text import model_text
from edge.config import CameraConfig
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.image import decode_picture, read_picture
from edge.core.view import ViewConfig
from edge.inspection.inspector import load_inspector
from edge.inspection.model_file import load_model_file
from edge.inspection.preprocessing import InputSpec, apply_view, preprocess
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.view_selection import image_profiles
from tests.converter.conftest import SIDE
from trainer.data.dataset import Sample, load_dataset
from trainer.networks.trained_model import read_spec, save_trained

VIEW = ViewConfig.read({"rotate": 90, "region": [0.25, 0.25, 0.5, 0.5]})


@pytest.fixture(scope="session")
def raw(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set as full pictures of a rotated camera; the view crops the part out."""
    root = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(5)
    for path in sorted(data.rglob("*.png")):
        pixels = read_picture(path)
        height, width = pixels.shape[:2]
        around = rng.integers(0, 256, (2 * height, 2 * width, 3)).astype(np.uint8)
        top, left = height // 2, width // 2
        around[top : top + height, left : left + width] = pixels
        target = root / path.relative_to(data)
        target.parent.mkdir(exist_ok=True)
        turned = cv2.rotate(around, cv2.ROTATE_90_COUNTERCLOCKWISE)
        assert cv2.imwrite(str(target), turned)
        assert np.array_equal(apply_view(read_picture(target), _spec(view=VIEW)), pixels)
    return root


@pytest.fixture(scope="session")
def from_raw(
    keras_model: Any, trained: Path, raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> Conversion:
    """The classifier with that view in its preprocessing, converted with the camera's pictures."""
    spec = read_spec(trained)
    assert spec is not None
    changed = {"input": _spec(view=VIEW), "data": _data(spec.data, raw)}
    folder = tmp_path_factory.mktemp("from-raw")
    save_trained(keras_model, spec.replace(**changed), folder / "model.keras")
    return convert(ConversionRequest(folder / "model.keras", raw, folder / "rust.tflite"))


def _spec(**options: Any) -> InputSpec:
    return InputSpec(width=SIDE, height=SIDE, **options)


def _data(data: dict[str, Any], root: Path) -> dict[str, Any]:
    return {**data, "fingerprint": load_dataset(root).fingerprint()}


def test_the_view_travels_with_the_model(from_raw: Conversion) -> None:
    """The file contains and shows the view; its golden pictures are full camera pictures."""
    file = load_model_file(from_raw.path)
    assert file.spec is not None
    assert file.spec.input.view is not None
    assert file.spec.input.view == VIEW
    assert '"rotate": 90' in model_text(file)
    assert len(file.golden) == 8
    assert {decode_picture(data, name).shape for name, data in file.golden.items()} == {
        (2 * (SIDE + 6), 2 * (SIDE + 6), 3)
    }
    assert load_inspector(from_raw.path).check_golden() == 8


@pytest.mark.parametrize("camera_keys", [{}, {"view": VIEW.to_dict(brief=True)}])
def test_scores_on_camera_pictures_equal_scores_on_cropped_ones(
    camera_keys: dict[str, Any], from_raw: Conversion, conversion: Conversion, data: Path, raw: Path
) -> None:
    """With or without the view in config.yaml, the scores equal those of the model without a view
    on cropped pictures."""
    camera = CameraConfig.read({"id": "top", "source": "test:", **camera_keys})
    inspector, plain = load_inspector(from_raw.path), load_inspector(conversion.path)
    profiles = image_profiles([camera], inspector)
    judge = Judge(inspector, Provenance("s", "c", "b"), Clock(), None, profiles=profiles)
    for number, path in enumerate(sorted(data.rglob("00?.png"))):
        frame = Frame("top", number, read_picture(raw / path.relative_to(data)), 0.0, 0.0)
        wanted = plain.judge(plain.prepare(read_picture(path))).score
        assert judge(frame).score == pytest.approx(wanted, abs=1 / 255)


@pytest.mark.parametrize(
    "view",
    [
        {"region": [0.1, 0.2, 0.5, 0.4]},
        {"rotate": 270, "mirror": "vertical"},
        {"perspective": [[0.2, 0.1], [0.8, 0.2], [0.9, 0.9], [0.1, 0.8]], "rotate": 90},
    ],
)
def test_a_large_golden_picture_shrinks_before_its_view(
    view: dict[str, Any], tmp_path: Path
) -> None:
    """A large golden picture shrinks, and its view still covers the model's input with the same
    content."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    pixels = cv2.resize(coarse, (1600, 1200), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / "large.bmp"
    assert cv2.imwrite(str(path), pixels)
    spec = InputSpec(width=32, height=24, view=ViewConfig.read(view))
    (file,) = golden_files([Sample(path, path.name, "ok", "g", "test")], spec)
    assert len(file.content) < MAX_BYTES
    small = decode_picture(file.content, file.name)
    cut = apply_view(small, spec)
    assert cut.shape[0] >= 24
    assert cut.shape[1] >= 32
    difference = preprocess(small, spec).astype(int) - preprocess(read_picture(path), spec)
    assert np.abs(difference).mean() < 6
