"""Counts the work of a Keras network as edge-convert will write it.

The converted network is int8 with a last layer in float32.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.device_latency.operator_work import OperatorWork
from trainer.networks.terms import HEAD

# Layers that conversion folds into their neighbours, or that only change the shape.
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
DENSE_COPIES = 3  # of the dense layer before the last one: see converter.quantization


def network_work(model: Any) -> tuple[OperatorWork, ...]:
    """The work of a network, layer by layer. An unsupported layer becomes an unknown kind."""
    found = [_cast(int(np.prod(model.input_shape[1:])))]
    dense = [layer for layer in model.layers if type(layer).__name__ == "Dense"]
    for layer in model.layers:
        found += _layer(layer, last=layer is dense[-1] if dense else False)
    if len(dense) > 1 and dense[-1].name == HEAD:
        at = next(i for i, one in enumerate(found) if one.output == dense[-2].name)
        found[at:at] = [found[at]] * (DENSE_COPIES - 1)
    return tuple(found)


def _layer(layer: Any, *, last: bool) -> Iterator[OperatorWork]:
    name = type(layer).__name__
    if name in FOLDED:
        return
    input_shapes, output_shape = _shapes(layer)
    channels_out = output_shape[-1]
    output_pixels = int(np.prod(output_shape)) // channels_out
    values = sum(int(np.prod(shape)) for shape in input_shapes) + int(np.prod(output_shape))
    kind, kernel_pixels, channels_in, dtype = _KINDS.get(name, name.lower()), 0, 0, "int8"
    if name in ("Conv2D", "DepthwiseConv2D"):
        kernel_pixels = int(np.prod(layer.kernel_size))
        depthwise = name == "DepthwiseConv2D"
        channels_in = 1 if depthwise else input_shapes[0][-1]
        kind = "depthwise" if depthwise else "pointwise" if kernel_pixels == 1 else "conv"
    elif name == "Dense":
        kind, kernel_pixels, channels_in = "dense", 1, input_shapes[0][-1]
        if last:
            yield _cast(channels_in)
            dtype = "float32"
    yield OperatorWork(
        kind,
        dtype,
        output_pixels,
        kernel_pixels,
        channels_in,
        channels_out,
        values,
        layer.name,
        name,
    )


def _shapes(layer: Any) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    inputs = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
    shapes = [tuple(int(side) for side in one.shape[1:]) for one in inputs]
    return shapes, tuple(int(side) for side in layer.output.shape[1:])


def _cast(values: int) -> OperatorWork:
    return OperatorWork("cast", "int8", 1, 0, 0, values, 2 * values, operator="QUANTIZE")
