"""Plain .tflite files of TensorFlow: judged right, or refused with the fix; never wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.core.errors import ModelError
from edge.core.terms import Runtime, Scaling
from edge.inspection.inspector import Overrides, load_inspector
from edge.inspection.interpreter import TFLiteClassifier
from edge.inspection.pixel_scaling import SCALINGS, InputTensor, ScalingError
from tests.models.make import PLAIN, plain_name, redness
from tests.support.frames import solid
from tests.support.models import MODELS

pytestmark = pytest.mark.inference

SETTINGS = Overrides(labels=("ok", "red"), reject_at=0.6)
FOUND = [  # by scale and zero point alone; int16 has no zero point to show negative values
    *((kind, scaling) for kind in ("uint8", "int8") for scaling in SCALINGS),
    *(("int16", scaling) for scaling in ("inside", "caffe", "torch")),
]
CONTRADICTIONS = [
    (kind, scaling, channels, wrong)
    for kind, scaling, channels in PLAIN
    for wrong in SCALINGS
    if kind != "float32"
    and wrong != scaling
    and not (kind == "int16" and {scaling, wrong} == {"0-1", "signed"})
]
# Both runtimes round the int8 steps of input and output: torch has the widest steps.
TOLERANCE = {"float32": 1e-5, "uint8": 3 / 255, "int8": 3 / 255, "int16": 3 / 255}


def largest_error(path: Path, settings: Overrides, runtime: Runtime) -> float:
    """The largest difference from the Keras model's score, over sixteen levels of red or grey."""
    inspector = load_inspector(path, settings, runtime)
    errors = []
    for level in range(0, 256, 17):
        blue = level if inspector.input.channels == 1 else 90
        pixels = solid(level, blue=blue)
        if inspector.input.channels == 1:
            pixels[:] = level
        found = inspector.judge(inspector.prepare(pixels)).score
        errors.append(abs(found - redness(level)))
    return max(errors)


@pytest.mark.parametrize(("kind", "scaling", "channels"), PLAIN)
def test_named_scaling_gives_the_score_of_the_keras_model(
    kind: str, scaling: Scaling, channels: int, runtime: Runtime
) -> None:
    """With the right model.scaling, every type of input gives the Keras model's score."""
    path = MODELS / plain_name(kind, scaling, channels)
    error = largest_error(path, replace(SETTINGS, scaling=scaling), runtime)
    assert error <= TOLERANCE[kind]


@pytest.mark.parametrize(("kind", "scaling", "channels"), PLAIN)
def test_no_scaling_is_right_or_refused(
    kind: str, scaling: Scaling, channels: int, runtime: Runtime
) -> None:
    """Without model.scaling, an integer input is filled by its scale and zero point. A float
    input, and an integer input that fits two scalings, are refused with the words."""
    path = MODELS / plain_name(kind, scaling, channels)
    if (kind, scaling) in FOUND:
        assert largest_error(path, SETTINGS, runtime) <= TOLERANCE[kind]
        return
    with pytest.raises(ScalingError, match=r"set model\.scaling .* inside .* 0-1 .* signed"):
        load_inspector(path, SETTINGS, runtime)


@pytest.mark.parametrize(("kind", "scaling", "channels", "wrong"), CONTRADICTIONS)
def test_wrong_scaling_contradicts_an_integer_input(
    kind: str, scaling: Scaling, channels: int, wrong: Scaling, runtime: Runtime
) -> None:
    """An integer input refuses a scaling with another range than its own."""
    path = MODELS / plain_name(kind, scaling, channels)
    with pytest.raises(ScalingError, match=r"model\.scaling"):
        load_inspector(path, replace(SETTINGS, scaling=wrong), runtime)


def test_packed_file_agrees_with_scaling_or_is_refused(
    redness_model: Path, runtime: Runtime
) -> None:
    """A file of edge-convert scales inside: the same word is accepted, another one refused."""
    load_inspector(redness_model, Overrides(scaling="inside"), runtime)
    with pytest.raises(ModelError, match=r"remove model\.scaling from config\.yaml"):
        load_inspector(redness_model, Overrides(scaling="signed"), runtime)


def test_probabilities_taken_for_logits_are_found_out(runtime: Runtime) -> None:
    """A second softmax would move every score towards the middle, so the setting is refused."""
    path = MODELS / plain_name("uint8", "inside")
    with pytest.raises(ModelError, match=r"model\.output says 'logits', but the outputs are"):
        load_inspector(path, replace(SETTINGS, output="logits"), runtime)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero", "scaling"),
    [
        (np.uint8, 0.7 / 255, 0, None),  # calibrated with dark pictures
        (np.uint8, 1 / 255, 128, None),  # -0.5 to 0.5
        (np.uint8, 1 / 255, 128, "signed"),
        (np.int8, 1 / 255, 0, "signed"),
        (np.int8, 1 / 127, 0, None),  # symmetric: 0-1 or signed
        (np.int8, None, 0, None),  # plain numbers, -128 to 127
        (np.int8, None, 0, "inside"),
        (np.int16, 2 / 32767, 0, "signed"),
        (np.uint8, 2 / 255, 0, "0-1"),  # 0 to 2
        (np.uint8, 0.4 / 255, 0, "0-1"),  # less than half of the range
    ],
)
def test_unknown_range_is_refused(
    dtype: type[np.generic], scale: float | None, zero: int, scaling: Scaling | None
) -> None:
    """An integer range that no known scaling gives, or another than the named one, is refused."""
    with pytest.raises(ScalingError):
        InputTensor("a.tflite", dtype, 3, scale, zero).filling(scaling)


def test_known_range_fills_as_tflite_rounds() -> None:
    """Odd scales and zero points: each level takes the step that TFLite's QUANTIZE gives."""
    tensor = InputTensor("a.tflite", np.uint8, 3, 1 / 127.5, 127)
    filled = tensor.filling(None)
    assert filled.scaling == "signed"
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    steps = filled(levels)[0, :, :, 0].reshape(-1).astype(int)
    assert np.abs(steps - (np.arange(256) - 0.5)).max() <= 0.51
    plain = InputTensor("a.tflite", np.uint8, 3).filling(None)  # plain numbers, 0 to 255
    assert (plain.scaling, plain(levels)[0].tolist()) == ("inside", levels.tolist())


def test_dark_calibration_is_filled_when_the_scaling_is_named() -> None:
    """A range that holds most of the named scaling is filled; brighter pixels are clipped."""
    tensor = InputTensor("a.tflite", np.uint8, 3, 0.8 / 255, 0)
    picture = np.full((8, 8, 3), 255, np.uint8)
    assert int(tensor.filling("0-1")(picture).max()) == 255
    assert int(tensor.filling("0-1")(picture // 2).max()) == round(127 / 255 / (0.8 / 255))


def test_three_channel_scaling_of_a_grey_model(runtime: Runtime) -> None:
    """ImageNet's means are for colour: a grey model refuses them."""
    path = MODELS / plain_name("float32", "signed", 1)
    with pytest.raises(ScalingError, match=r"torch is for three channels, the model takes 1"):
        load_inspector(path, replace(SETTINGS, scaling="torch"), runtime)


def test_clone_fills_alike(runtime: Runtime) -> None:
    """A second worker's interpreter scales as the first."""
    path = MODELS / plain_name("float32", "caffe")
    first = TFLiteClassifier(path.read_bytes(), "a", runtime, plain=True, scaling="caffe")
    picture = np.random.default_rng(0).integers(0, 256, first.shape, np.uint8)
    assert first(picture).tolist() == first.clone()(picture).tolist()
