"""Full-integer int8 quantisation: raw uint8 pixels in, float logits out."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.bands import with_bands
from converter.calibrate import representative
from converter.graph import Operator, input_scale, operators, with_float_head
from converter.quiet import quiet
from converter.source import Source
from edge.errors import ModelError
from trainer.extra import keras, tensorflow

_EDGES = ("QUANTIZE", "DEQUANTIZE")  # they change the type, and compute nothing


@dataclass(frozen=True, slots=True)
class Quantised:
    """A bare .tflite, without labels. `float_head` says that its last layer is float32.

    `bands` is how many bands of eight bits its features have: see converter.bands.
    """

    tflite: bytes
    float_head: bool
    bands: int
    operators: tuple[Operator, ...]

    def as_json(self) -> dict[str, Any]:
        """How it was quantised, for inspection.json."""
        inner = [op for op in self.operators if op.name not in _EDGES]
        return {
            "scheme": "int8, float32 head" if self.float_head else "int8",
            "feature_bands": self.bands,
            "int8_operators": dict(
                sorted(Counter(o.name for o in inner if not o.is_float).items())
            ),
            "float_operators": dict(sorted(Counter(o.name for o in inner if o.is_float).items())),
        }


def quantise(source: Source, pictures: NDArray[np.uint8]) -> Quantised:
    """Converts with `pictures` for calibration: uint8, (n, *source.input.shape), n at least 1.

    Raises ModelError when TensorFlow cannot convert it or a layer would have stayed in float.
    """
    parts = source.cut
    with quiet():
        tflite = _convert(source, parts.body, pictures)
    scale, zero_point = input_scale(tflite)
    if abs(scale - 1.0) > 1e-6 or zero_point != 0:
        raise ModelError(
            f"{source.file}: its input takes pixels as {scale} × (pixel − {zero_point}) and not as "
            "they are; report this as a fault"
        )
    bands = 1
    if parts.head is not None:
        if len(parts.body.outputs) == 1:
            tflite, bands = with_bands(tflite)
        weights = np.tile(parts.head.weights, (bands, 1))  # a feature is the sum of its bands
        tflite = with_float_head(tflite, weights, parts.head.bias)
    found = operators(tflite)
    head = 0 if parts.head is None else 1 + (len(parts.body.outputs) > 1)
    check_operators(found, head, source.file)
    return Quantised(tflite, parts.head is not None, bands, found)


def check_operators(found: tuple[Operator, ...], head: int, name: str) -> None:
    """Raises ModelError when an operator before the last `head` ones computes in float."""
    inner = [op for op in found if op.name not in _EDGES]
    body = inner[: len(inner) - head]
    stray = sorted({op.name for op in body if op.is_float})
    if stray:
        raise ModelError(
            f"{name}: {', '.join(stray)} stays in float32, so it is no int8 model; "
            "replace the layer by one that TFLite has in int8"
        )


def _convert(source: Source, body: Any, pictures: NDArray[np.uint8]) -> bytes:
    tf, k = tensorflow(), keras()
    factor, offset = source.scaling

    def serve(pixels: Any) -> Any:
        scaled = pixels if (factor, offset) == (1.0, 0.0) else pixels * factor + offset
        outputs = body(scaled, training=False)
        if not isinstance(outputs, list | tuple):
            return outputs
        return {f"feature{at:03}": output for at, output in enumerate(outputs)}

    # A batch of exactly one: an open batch size leaves SHAPE and PACK operators in the graph.
    signature = [tf.TensorSpec((1, *source.input.shape), tf.float32, name="pixels")]
    try:
        with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
            archive = k.export.ExportArchive()
            archive.track(body)
            archive.add_endpoint("serve", serve, input_signature=signature)
            archive.write_out(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [batch] for batch in representative(pictures)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            # The converter ends the int8 graph with a DEQUANTIZE: what the float head takes.
            converter.inference_output_type = tf.float32
            return bytes(converter.convert())
    except Exception as error:  # TensorFlow raises anything; the reason is passed on
        raise ModelError(
            f"{source.file}: TensorFlow cannot convert it to int8 ({_reason(error)}); "
            "replace the layer that it names by one that TFLite has in int8"
        ) from error


def _reason(error: Exception) -> str:
    """The one telling line of an MLIR error that may be pages long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line] or lines or [type(error).__name__]
    return telling[0][:300]
