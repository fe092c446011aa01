"""What each layer computes in a converted model, against the same layer in float32."""

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

PICTURES = 16  # every tensor of each is looked at
LARGEST = 1e30  # beyond it the quantiser's own arithmetic overflows, and ends the process


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far a layer is off. `error` is RMS of the difference over RMS in float32; `clipped` the
    share of float32 values that the layer's range cannot hold, both from 0."""

    layer: str
    error: float
    clipped: float


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Values of one tensor; the lowest and highest that it can hold, and its step."""

    values: NDArray[np.float32]
    low: float
    high: float
    step: float


@dataclass(slots=True)
class _Sums:
    """Over all pictures: squares of float32's values and of the differences, values cut off."""

    squares: float = 0.0
    differences: float = 0.0
    outside: int = 0
    count: int = 0

    def add(self, true: _Tensor, there: _Tensor) -> None:
        values = true.values.astype(np.float64)
        self.squares += float((values**2).sum())
        self.differences += float(((there.values - values) ** 2).sum())
        cut = (values < there.low - there.step) | (values > there.high + there.step)
        self.outside += int(cut.sum())
        self.count += values.size


def layer_errors(
    tflite: bytes, float32: bytes, pictures: NDArray[np.uint8], frozen: FrozenGraph
) -> tuple[LayerError, ...]:
    """The error of each layer, in the order in which they run.

    Both are bare models of ours with uint8 input; `pictures` is uint8, (n, height, width,
    channels), of which PICTURES are looked at. A layer is found again by the names that TFLite
    gives its tensors; one that was fused into another is not there.
    """
    some = pictures[:PICTURES]
    sums: dict[str, _Sums] = {}
    for true, found in zip(_tensors(float32, some), _tensors(tflite, some)):
        counted = Counter(map(_unnumbered, true))
        alike = {
            _unnumbered(name): t for name, t in true.items() if counted[_unnumbered(name)] == 1
        }
        for name, there in found.items():
            wanted = true.get(name) or alike.get(_unnumbered(name))
            if wanted is not None and wanted.values.shape == there.values.shape:
                sums.setdefault(name, _Sums()).add(wanted, there)
    errors: dict[str, LayerError] = {}
    for name, each in sums.items():
        off = (each.differences / each.squares) ** 0.5 if each.squares else 0.0
        error = LayerError(frozen.layer_of(name), off, each.outside / max(each.count, 1))
        known = errors.get(error.layer)
        if known is None or error.error >= known.error:
            errors[error.layer] = error
    return tuple(errors.values())


def refuse_overflow(
    float32: bytes, pictures: NDArray[np.uint8], frozen: FrozenGraph, name: str
) -> None:
    """Raises ModelError, naming the layer, when one gives no finite number on `pictures`.

    Quantising such a model would end the process.
    """
    for found in _tensors(float32, pictures[:PICTURES]):
        for tensor, layer_outputs in found.items():
            peak = float(np.abs(layer_outputs.values).max(initial=0.0))
            if not peak < LARGEST:
                raise ModelError(
                    f"{name}: the layer {frozen.layer_of(tensor)!r} overflows (values up to "
                    f"{peak:g}); check --scaling: the pixels may be far from what it was trained on"
                )


def _unnumbered(name: str) -> str:
    """A tensor's name without what TFLite adds to make it unlike others of a scheme."""
    return re.sub(r"(_int16)?\d*$", "", name)


def _tensors(tflite: bytes, pictures: NDArray[np.uint8]) -> Iterator[dict[str, _Tensor]]:
    """For each picture what the operators make, by name, in the order in which they run."""
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
        if operator["op_name"] not in ("CAST", "QUANTIZE")  # what pixels become first is no layer
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
