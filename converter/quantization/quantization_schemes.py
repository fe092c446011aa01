"""Builds a .tflite from a frozen graph in each scheme: uint8 pixels in, float logits out."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.loading import SINGLE_OUTPUT_HEAD, DenseHead, FrozenGraph, silence_tensorflow
from converter.quantization.calibration import representative_batches
from converter.quantization.conversion_errors import explain_failure, loop_error
from converter.quantization.multi_range_head import with_bands
from converter.quantization.scaling_fold import with_folded_scaling
from converter.tflite import Operator, graph_count, operators, with_byte_input, with_float_head
from converter.tflite.tflite_graph import input_scale
from edge.core.errors import ModelError
from trainer.core import tensorflow

FLOAT_HEAD = "int8-float-head"
# In order of preference. int8 is by far the fastest, and its float head costs nothing. float16 has
# half the size of float32 at the same speed. Runtimes have no fast kernels for dynamic ranges and
# 16-bit activations. The order is fixed, so that the same input gives the same file.
SCHEMES = (FLOAT_HEAD, "int8", "float16", "float32", "dynamic", "int16x8")
CALIBRATED = (FLOAT_HEAD, "int8", "int16x8")

_TYPE_CHANGES = ("QUANTIZE", "DEQUANTIZE", "CAST")  # they change the type only


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A bare .tflite without labels: uint8 pixels to float32 logits, (1, n).

    - `bands`: the factor of each band of the features; see multi_range_head.
    - `body`: the model before the float head, with float32 features; None without such a head.
    - `fitted`: whether the head was fitted again on int8 features.
    """

    scheme: str
    tflite: bytes
    bands: tuple[float, ...] = (1.0,)
    body: bytes | None = None
    fitted: bool = False

    def as_json(self) -> dict[str, Any]:
        """The scheme and the operators, for inspection.json."""
        inner = [op for op in operators(self.tflite) if op.name not in _TYPE_CHANGES]
        return {
            "scheme": self.scheme,
            "feature_bands": len(self.bands),
            "fitted_head": self.fitted,
            "int8_operators": _operator_counts(op for op in inner if not op.is_float),
            "float_operators": _operator_counts(op for op in inner if op.is_float),
        }


def _operator_counts(found: Any) -> dict[str, int]:
    return dict(sorted(Counter(op.name for op in found).items()))


def build_model(
    scheme: str, frozen: FrozenGraph, pictures: NDArray[np.uint8], name: str
) -> BuiltModel:
    """Converts with one of SCHEMES.

    `pictures` is uint8, (n, height, width, channels), n at least 1; it sets the value ranges of
    the CALIBRATED schemes. Raises ModelError, with the layer, when TFLite cannot convert it.
    """
    if scheme == FLOAT_HEAD:
        return _build_float_head(frozen, pictures, name)
    tflite = _convert(scheme, frozen, frozen.whole(), pictures, name)
    if scheme == "int8":
        _check_int8(tflite, frozen, name)
        tflite = with_folded_scaling(tflite)
    else:
        tflite = with_byte_input(tflite)
    if frozen.outputs == 1:
        tflite = with_float_head(tflite, SINGLE_OUTPUT_HEAD)
    return BuiltModel(scheme, tflite)


def with_head(built_model: BuiltModel, head: DenseHead) -> BuiltModel:
    """The same body with another head. Raises ModelError without a body."""
    if built_model.body is None:
        raise ModelError(f"{built_model.scheme}: has no float head to replace")
    whole = with_float_head(built_model.body, _head_for_bands(head, built_model.bands))
    return BuiltModel(built_model.scheme, whole, built_model.bands, built_model.body, True)


def features_of(rows: NDArray[np.float64], built_model: BuiltModel) -> NDArray[np.float64]:
    """(pictures, features) from the output of the body, (pictures, bands × features)."""
    banded = rows.reshape(len(rows), len(built_model.bands), -1)
    return np.asarray(np.einsum("pbf,b->pf", banded, built_model.bands))


def head_of(frozen: FrozenGraph) -> DenseHead:
    """The last dense layer as two or more logits. Raises ModelError when there is none."""
    if frozen.head is None:
        raise ModelError(
            f"its last layer {frozen.layer_of(frozen.logits.op.name)!r} is no Dense layer, so it "
            "cannot be computed in float; end it in Dense(n, softmax)"
        )
    weights, bias = frozen.head.weights, frozen.head.bias
    if frozen.outputs == 1:
        weights = np.concatenate([np.zeros_like(weights), weights], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    return DenseHead(weights, bias)


def _build_float_head(frozen: FrozenGraph, pictures: NDArray[np.uint8], name: str) -> BuiltModel:
    head = head_of(frozen)
    body = _convert(FLOAT_HEAD, frozen, frozen.body(), pictures, name)
    _check_int8(body, frozen, name)
    body = with_folded_scaling(body)
    bands: tuple[float, ...] = (1.0,)
    if len(frozen.features) == 1:
        body, bands = with_bands(body)
    return BuiltModel(FLOAT_HEAD, with_float_head(body, _head_for_bands(head, bands)), bands, body)


def _head_for_bands(head: DenseHead, bands: tuple[float, ...]) -> DenseHead:
    """The head with one copy of its weights per band, times the factor of the band."""
    return DenseHead(np.concatenate([head.weights * np.float32(one) for one in bands]), head.bias)


def _check_int8(tflite: bytes, frozen: FrozenGraph, name: str) -> None:
    """Raises ModelError unless the input is raw pixels and every operator is int8."""
    scale, zero_point = input_scale(tflite)
    if abs(scale - 1.0) > 1e-6 or zero_point != 0:
        raise ModelError(
            f"{name}: its input is {scale} × (pixel − {zero_point}) instead of the raw pixel; "
            "report this as a fault"
        )
    check_operators(operators(tflite), frozen, name)


def check_operators(found: tuple[Operator, ...], frozen: FrozenGraph, name: str) -> None:
    """Raises ModelError, with the layers, when an operator computes in float."""
    float_operators = [op for op in found if op.is_float and op.name not in _TYPE_CHANGES]
    if float_operators:
        where = ", ".join(
            sorted({f"{op.name} in {frozen.layer_of(op.output)!r}" for op in float_operators})
        )
        raise ModelError(
            f"{name}: {where} stays in float32, so the model is not int8; "
            "replace the layer by one that TFLite has in int8"
        )


def _convert(
    scheme: str, frozen: FrozenGraph, function: Any, pictures: NDArray[np.uint8], name: str
) -> bytes:
    tf = tensorflow()
    sets = tf.lite.OpsSet
    try:
        with silence_tensorflow():
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
            if scheme != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            # Runtimes of 2023 know only one scale for the weights of a dense layer.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = (
                scheme == "dynamic"
            )
            if scheme in CALIBRATED:
                converter.representative_dataset = lambda: (
                    [batch] for batch in representative_batches(pictures)
                )
            if scheme in (FLOAT_HEAD, "int8"):
                converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = tf.uint8
                # The int8 graph then ends with DEQUANTIZE, as a float head needs it.
                converter.inference_output_type = tf.float32
            elif scheme == "int16x8":
                converter.target_spec.supported_ops = [
                    sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
                ]
            elif scheme == "float16":
                converter.target_spec.supported_types = [tf.float16]
            tflite = bytes(converter.convert())
    except Exception as error:  # TensorFlow raises any class; the reason is passed on
        raise ModelError(explain_failure(error, scheme, frozen, name)) from error
    if graph_count(tflite) != 1:
        raise ModelError(loop_error(frozen, name))
    return tflite
