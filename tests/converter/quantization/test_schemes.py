"""The quantization schemes: results of each, the choice among them, and conversion errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converter.convert import Conversion, ConversionRequest, convert
from converter.evaluation.layer_errors import layer_errors, refuse_overflow
from converter.loading.frozen_graph import DenseHead, FrozenGraph, freeze, layer_of
from converter.loading.source_model import SourceModel
from converter.quantization.head_refit import FloatLogits, logit_error, refit_head
from converter.quantization.quantization_schemes import (
    FLOAT_HEAD,
    SCHEMES,
    BuiltModel,
    build_model,
    head_of,
)
from converter.selection import scheme_selection as selection_module
from converter.selection.quality_gate import GateLimits, objections
from converter.selection.scheme_trial import SchemeTrial
from converter.tflite.operator_profile import operator_times
from converter.tflite.runtimes import find_runners
from converter.tflite.tflite_graph import operators
from edge.core.errors import ModelError
from edge.inspection.inspector import load_inspector
from trainer.data.dataset import load_dataset
from trainer.data.pictures import load_pictures

pytestmark = pytest.mark.train
SIDE = 16


def test_every_scheme_is_in_the_table(conversion: Conversion) -> None:
    """Every scheme is built, run and compared; the first that passes becomes the file."""
    trials = conversion.selection.trials
    assert [trial.scheme for trial in trials] == list(SCHEMES)
    assert all(trial.built_model is not None and trial.score_diff is not None for trial in trials)
    assert conversion.chosen is next(trial for trial in trials if not trial.objections)
    rows = conversion.spec.quantisation["schemes"]
    assert [row["scheme"] for row in rows] == list(SCHEMES)
    by_name = dict(zip(SCHEMES, trials))
    assert by_name["float32"].score_diff is not None
    assert by_name["float32"].score_diff.largest_change < 1e-4
    sizes = {row["scheme"]: row["bytes"] for row in rows}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


def test_every_layer_of_every_scheme_is_measured(conversion: Conversion) -> None:
    """Every layer has an error, smallest in float and largest in int8."""
    errors = {
        trial.scheme: {layer.layer: layer.error for layer in trial.layers}
        for trial in conversion.selection.trials
    }
    for found in errors.values():
        assert {"edges", "shapes"} <= set(found)
    assert errors["float32"]["features"] == 0
    assert 0 < errors["float16"]["features"] < errors["int8"]["features"] < 0.2
    assert 0 < errors["int16x8"]["features"] < errors["int8"]["features"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_forced_scheme_is_the_only_one(
    scheme: str, trained: Path, data: Path, tmp_path: Path
) -> None:
    """Each scheme alone gives a file that the daemon loads and that takes raw pixels."""
    output = tmp_path / "m.tflite"
    conversion = convert(
        ConversionRequest(trained, data, output, scheme=scheme, older_runtime=False)
    )
    assert [trial.scheme for trial in conversion.selection.trials] == [scheme]
    inspector = load_inspector(output)
    assert inspector.check_golden() == 8
    assert inspector.file.spec is not None
    assert inspector.file.spec.quantisation["scheme"] == scheme


def test_the_next_scheme_is_taken_when_the_first_loses_too_much(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused scheme is skipped, and the file records the reason."""

    def against_int8(trial: SchemeTrial, limits: GateLimits) -> list[str]:
        return ["too bad"] if "int8" in trial.scheme else objections(trial, limits)

    monkeypatch.setattr(selection_module, "objections", against_int8)
    conversion = convert(
        ConversionRequest(trained, data, tmp_path / "m.tflite", older_runtime=False)
    )
    assert conversion.chosen.scheme == "float16"
    assert conversion.spec.quantisation["schemes"][0]["objections"] == ["too bad"]


def _frozen(k: Any, *layers: Any) -> FrozenGraph:
    model = k.Sequential([k.Input((SIDE, SIDE, 3)), *layers])
    names = frozenset(layer.name for layer in model.layers)
    return freeze(model, (SIDE, SIDE, 3), names, "m.keras")


def _pictures(count: int = 12) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


def test_a_layer_that_overflows_is_named(tensorflow: Any) -> None:
    """Overflow is found in float32, because quantising would end the process."""
    layers = tensorflow.keras.layers
    body = [layers.Conv2D(2, 3, activation="exponential", name="boom"), layers.Flatten()]
    frozen = _frozen(tensorflow.keras, *body, layers.Dense(2, activation="softmax"))
    float32 = build_model("float32", frozen, _pictures(), "m.keras").tflite
    with pytest.raises(ModelError, match=r"m\.keras: the layer 'boom' overflows.*--scaling"):
        refuse_overflow(float32, _pictures() // 255 * 0 + 255, frozen, "m.keras")


def test_an_operator_that_tflite_lacks_is_named_with_its_layer(tensorflow: Any) -> None:
    """The sentence names the layer, the operator and a replacement."""
    k = tensorflow.keras
    body = [
        k.layers.Conv2D(2, 3),
        k.layers.UpSampling2D(2, interpolation="lanczos5", name="finer"),
        k.layers.GlobalAveragePooling2D(),
    ]
    frozen = _frozen(k, *body, k.layers.Dense(2, activation="softmax"))
    with pytest.raises(ModelError, match=r"'finer' needs the operator ScaleAndTranslate.*bilinear"):
        build_model("float32", frozen, _pictures(), "m.keras")


def test_a_loop_is_named_with_its_layer(tensorflow: Any) -> None:
    """A recurrent layer becomes separate graphs and is refused; unrolled, it converts."""
    k = tensorflow.keras

    def frozen(*, unroll: bool) -> FrozenGraph:
        rows = k.layers.Reshape((SIDE, SIDE * 3))
        memory = k.layers.LSTM(4, unroll=unroll, name="memory")
        return _frozen(k, rows, memory, k.layers.Dense(2, activation="softmax"))

    with pytest.raises(ModelError, match=r"m\.keras: the layer 'memory' has a loop.*unroll"):
        build_model("float32", frozen(unroll=False), _pictures(), "m.keras")
    assert build_model("float32", frozen(unroll=True), _pictures(), "m.keras").tflite


def test_a_layer_with_an_unknown_number_of_rows_converts(tensorflow: Any) -> None:
    """Keras loses the batch size in a grouped and dilated convolution; it is one."""
    k = tensorflow.keras
    body = [
        k.layers.Conv2D(6, 3, padding="same", dilation_rate=2, groups=3),
        k.layers.GlobalAveragePooling2D(),
    ]
    frozen = _frozen(k, *body, k.layers.Dense(2, activation="softmax"))
    assert frozen.outputs == 2
    assert build_model("float32", frozen, _pictures(), "m.keras").tflite


def test_a_network_without_a_dense_layer_has_no_float_head(tensorflow: Any) -> None:
    """A float head is refused with the reason; int8 is possible."""
    k = tensorflow.keras
    body = [k.layers.Conv2D(2, 3, name="answers"), k.layers.GlobalAveragePooling2D()]
    frozen = _frozen(k, *body, k.layers.Softmax())
    with pytest.raises(ModelError, match="no Dense layer"):
        build_model(FLOAT_HEAD, frozen, _pictures(), "m.keras")
    assert build_model("int8", frozen, _pictures(), "m.keras").tflite


@pytest.mark.parametrize(
    ("node", "layer"),
    [
        ("model_1/conv_1/Relu", "conv"),
        ("model_1/conv_1_1/Relu", "conv_1"),
        ("model_1/Erf", "erf"),
        ("model_1/block/conv_2_1/Conv2D", "conv_2"),
        ("model_1/block_1/BiasAdd;model_1/conv_2_1/x", "block"),
        ("unknown/deep/path", "unknown/deep"),
        ("alone", "alone"),
    ],
)
def test_the_innermost_layer_is_named(node: str, layer: str) -> None:
    """The innermost layer on a node's path counts, without the number of its use."""
    assert layer_of(node, frozenset({"block", "conv", "conv_1", "conv_2", "erf"})) == layer


def test_a_fitted_head_compensates_for_quantisation(source: SourceModel, data: Path) -> None:
    """Starting from a wrong head, the fitted head is nearer to the float model on the test set."""
    dataset = load_dataset(data)
    runner = find_runners(older=False)[0]
    train, test = (load_pictures(dataset.of(name), source.input) for name in ("train", "test"))
    float32 = build_model("float32", source.frozen, train, "m").tflite

    def with_logits(pictures: NDArray[np.uint8]) -> FloatLogits:
        return FloatLogits(pictures, runner.rows(float32, pictures, "m")[0].astype(np.float64))

    def error_of(built_model: BuiltModel) -> float:
        return logit_error(
            runner.rows(built_model.tflite, test, "m")[0].astype(np.float64),
            with_logits(test).logits,
        )

    float_head = head_of(source.frozen)
    built_model = build_model(FLOAT_HEAD, source.frozen, train, "m")
    validation = with_logits(load_pictures(dataset.of("validation"), source.input))
    wrong_head = DenseHead(
        float_head.weights * 1.3, float_head.bias + np.array([0.5, -0.5], np.float32)
    )
    found = refit_head(built_model, wrong_head, with_logits(train), validation, runner)
    assert found.fitted
    assert error_of(found) < 1.2 * error_of(built_model)


def test_a_head_without_gain_stays(source: SourceModel, data: Path) -> None:
    """The old head stays when the new one is not better on the validation set."""
    runner = find_runners(older=False)[0]
    dataset = load_dataset(data)
    train = load_pictures(dataset.of("train"), source.input)
    built_model = build_model(FLOAT_HEAD, source.frozen, train, "m")
    rows = runner.rows(built_model.tflite, train, "m")[0].astype(np.float64)
    same = FloatLogits(train, rows)
    assert not refit_head(built_model, head_of(source.frozen), same, same, runner).fitted


@pytest.mark.parametrize("place", range(len(SCHEMES)), ids=SCHEMES)
def test_operators_are_timed_one_by_one(conversion: Conversion, place: int) -> None:
    """In every scheme, each operator on picture data has a time and a layer name."""
    built_model = conversion.selection.trials[place].built_model
    assert built_model is not None
    times = operator_times(built_model.tflite, conversion.source.frozen)
    assert all(timed.milliseconds >= 0 for timed in times)
    assert {"edges", "shapes", "features"} <= {timed.layer for timed in times}


def test_layers_of_one_model_differ_from_itself_by_nothing(conversion: Conversion) -> None:
    """A model compared with itself has no error."""
    (float32,) = (t.built_model for t in conversion.selection.trials if t.scheme == "float32")
    assert float32 is not None
    pictures = conversion.evaluation_set.test.pictures[:3]
    found = layer_errors(float32.tflite, float32.tflite, pictures, conversion.source.frozen)
    assert found
    assert all(layer.error == 0 and layer.clipped == 0 for layer in found)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_scaling_of_pixels_is_no_operator(tensorflow: Any, padding: str) -> None:
    """Scaling to −1…1 puts every pixel between two int8 steps. The file still separates all pixels
    and follows float32, because no rounding is left."""
    k = tensorflow.keras
    body = [
        k.layers.Rescaling(1 / 127.5, offset=-1),
        k.layers.Conv2D(6, 3, padding=padding, activation="relu"),
        k.layers.GlobalAveragePooling2D(),
    ]
    frozen = _frozen(k, *body, k.layers.Dense(2, activation="softmax"))
    pictures = _pictures(40)
    built_model = build_model(FLOAT_HEAD, frozen, pictures, "m.keras")
    names = [op.name for op in operators(built_model.tflite)]
    assert "MUL" not in names
    assert "ADD" not in names
    runner = find_runners(older=False)[0]
    float32 = build_model("float32", frozen, pictures, "m.keras").tflite
    expected = runner.rows(float32, pictures, "m")[0].astype(np.float64)
    found = runner.rows(built_model.tflite, pictures, "m")[0].astype(np.float64)
    assert logit_error(found, expected) < 0.05 * float(expected.std())
