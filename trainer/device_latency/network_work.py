"""The work of a Keras network before it is converted: as edge-convert will write it, in int8 with
its last layer in float32."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.device_latency.operator_work import OperatorWork
from trainer.networks.terms import HEAD

# Conversion folds them into their neighbours, or they only name another shape.
FOLDED = (
    "InputLayer", "Rescaling", "BatchNormalization", "ReLU", "Dropout", "Flatten", "Reshape",
    "Activation", "Softmax", "ZeroPadding2D",
)  # fmt: skip
_KINDS = {
    "MaxPooling2D": "pool",
    "AveragePooling2D": "pool",
    "GlobalAveragePooling2D": "mean",
    "GlobalMaxPooling2D": "largest",
    "Add": "binary",
    "Multiply": "binary",
    "Concatenate": "move",
}
BANDS = 3  # a dense layer in front of the last one is written so often: see converter.quantization


def network_work(model: Any) -> tuple[OperatorWork, ...]:
    """The work of a network, layer by layer. A layer of another class becomes an unknown kind."""
    found = [_cast(int(np.prod(model.input_shape[1:])))]
    dense = [layer for layer in model.layers if type(layer).__name__ == "Dense"]
    for layer in model.layers:
        found += _layer(layer, last=layer is dense[-1] if dense else False)
    if len(dense) > 1 and dense[-1].name == HEAD:
        at = next(i for i, one in enumerate(found) if one.output == dense[-2].name)
        found[at:at] = [found[at]] * (BANDS - 1)
    return tuple(found)


def _layer(layer: Any, *, last: bool) -> Iterator[OperatorWork]:
    name = type(layer).__name__
    if name in FOLDED:
        return
    channels_in, channels_out = _shapes(layer)
    channels = channels_out[-1]
    output_pixels = int(np.prod(channels_out)) // channels
    values = sum(int(np.prod(shape)) for shape in channels_in) + int(np.prod(channels_out))
    kind, kernel_pixels, inner, dtype = _KINDS.get(name, name.lower()), 0, 0, "int8"
    if name in ("Conv2D", "DepthwiseConv2D"):
        kernel_pixels = int(np.prod(layer.kernel_size))
        inner = 1 if name == "DepthwiseConv2D" else channels_in[0][-1]
        pointwise = kernel_pixels == 1
        kind = "depthwise" if inner == 1 and name != "Conv2D" else "conv"
        kind = "pointwise" if pointwise and kind == "conv" else kind
    elif name == "Dense":
        kind, kernel_pixels, inner = "dense", 1, channels_in[0][-1]
        if last:
            yield _cast(inner)
            dtype = "float32"
    yield OperatorWork(
        kind, dtype, output_pixels, kernel_pixels, inner, channels, values, layer.name, name
    )


def _shapes(layer: Any) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    entered = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
    shapes = [tuple(int(side) for side in one.shape[1:]) for one in entered]
    return shapes, tuple(int(side) for side in layer.output.shape[1:])


def _cast(values: int) -> OperatorWork:
    return OperatorWork("cast", "int8", 1, 0, 0, values, 2 * values, operator="QUANTIZE")
