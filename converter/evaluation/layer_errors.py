"""The error of each layer of a converted model, against the same layer in float32."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.loading import FrozenGraph, silence_tensorflow
from edge.core.errors import ModelError
from edge.inspection import runtime_module

PICTURES = 16  # compared, with every tensor
LARGEST = 1e30  # above it the quantiser overflows and ends the process


@dataclass(frozen=True, slots=True)
class LayerDeviation:
    """The error of one layer; both figures start at 0.

    - `error`: RMS of the difference over RMS of the float32 values.
    - `clipped`: the share of float32 values outside the layer's range.
    """

    layer: str
    error: float
    clipped: float


@dataclass(frozen=True, slots=True)
class _Tensor:
    """The values of one tensor, the lowest and highest value that it can hold, and its step."""

    values: NDArray[np.float32]
    low: float
    high: float
    step: float


@dataclass(slots=True)
class _Sums:
    """Sums over all pictures: squares of float32 values and of differences, clipped values."""

    squares: float = 0.0
    differences: float = 0.0
    outside: int = 0
    count: int = 0

    def add(self, reference: _Tensor, converted: _Tensor) -> None:
        values = reference.values.astype(np.float64)
        self.squares += float((values**2).sum())
        self.differences += float(((converted.values - values) ** 2).sum())
        cut = (values < converted.low - converted.step) | (values > converted.high + converted.step)
        self.outside += int(cut.sum())
        self.count += values.size


def layer_errors(
    tflite: bytes, float32: bytes, pictures: NDArray[np.uint8], frozen: FrozenGraph
) -> tuple[LayerDeviation, ...]:
    """The error of each layer, in the order in which they run.

    Both are bare models with uint8 input. `pictures` is uint8, (n, height, width, channels); the
    first PICTURES are compared. TFLite's tensor names match the layers; a layer that was fused
    into another is left out.
    """
    some = pictures[:PICTURES]
    sums: dict[str, _Sums] = {}
    for reference, found in zip(_tensors(float32, some), _tensors(tflite, some)):
        counted = Counter(map(_unnumbered, reference))
        alike = {
            _unnumbered(name): t for name, t in reference.items() if counted[_unnumbered(name)] == 1
        }
        for name, converted in found.items():
            wanted = reference.get(name) or alike.get(_unnumbered(name))
            if wanted is not None and wanted.values.shape == converted.values.shape:
                sums.setdefault(name, _Sums()).add(wanted, converted)
    errors: dict[str, LayerDeviation] = {}
    for name, each in sums.items():
        off = (each.differences / each.squares) ** 0.5 if each.squares else 0.0
        error = LayerDeviation(frozen.layer_of(name), off, each.outside / max(each.count, 1))
        known = errors.get(error.layer)
        if known is None or error.error >= known.error:
            errors[error.layer] = error
    return tuple(errors.values())


def refuse_overflow(
    float32: bytes, pictures: NDArray[np.uint8], frozen: FrozenGraph, name: str
) -> None:
    """Raises ModelError, with the layer's name, when a layer overflows on `pictures`.

    Quantising such a model would end the process.
    """
    for found in _tensors(float32, pictures[:PICTURES]):
        for tensor, layer_outputs in found.items():
            peak = float(np.abs(layer_outputs.values).max(initial=0.0))
            if not peak < LARGEST:
                raise ModelError(
                    f"{name}: the layer {frozen.layer_of(tensor)!r} overflows (values up to "
                    f"{peak:g}); check --scaling: the pixel values may be wrong"
                )


def _unnumbered(name: str) -> str:
    """A tensor's name without the suffix that TFLite adds to make names unique."""
    return re.sub(r"(_int16)?\d*$", "", name)


def _tensors(tflite: bytes, pictures: NDArray[np.uint8]) -> Iterator[dict[str, _Tensor]]:
    """The output tensors of all operators by name, in execution order, for each picture."""
    _, module = runtime_module("auto")
    with silence_tensorflow():
        interpreter = module.Interpreter(
            model_content=tflite, num_threads=1, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    every = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    layer_outputs = [
        every[int(at)]
        for operator in interpreter._get_ops_details()
        if operator["op_name"] not in ("CAST", "QUANTIZE")  # the conversion of pixels is no layer
        for at in operator["outputs"]
        if int(at) in every and every[int(at)]["dtype"] in (np.float32, np.int8, np.int16)
    ]
    for picture in pictures:
        interpreter.set_tensor(entry["index"], picture[None])
        interpreter.invoke()
        yield {
            detail["name"]: _dequantised(detail, interpreter.get_tensor(detail["index"]))
            for detail in layer_outputs
        }


def _dequantised(detail: dict[str, Any], values: NDArray[Any]) -> _Tensor:
    if values.dtype == np.float32:
        return _Tensor(values, -np.inf, np.inf, 0.0)
    scale, zero = detail["quantization"]
    limits = np.iinfo(values.dtype)
    low, high = (limits.min - zero) * scale, (limits.max - zero) * scale
    return _Tensor((values.astype(np.float32) - zero) * scale, low, high, scale)
