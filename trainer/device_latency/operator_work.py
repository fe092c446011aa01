"""Counts the work of each operator of a .tflite: the numbers that its time depends on."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.core.errors import MissingPartError

# TFLite's operators, grouped by cost. An operator outside these groups has no price.
CONVOLVING = ("conv", "pointwise", "depthwise", "dense")
_KINDS = {
    "DEPTHWISE_CONV_2D": "depthwise",
    "FULLY_CONNECTED": "dense",
    "MAX_POOL_2D": "pool",
    "AVERAGE_POOL_2D": "pool",
    "MEAN": "mean",
    "REDUCE_MAX": "largest",
    "SOFTMAX": "softmax",
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"), "binary"),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1"), "relu"),
    "HARD_SWISH": "swish",
    **dict.fromkeys(("LOGISTIC", "TANH"), "sigmoid"),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "CAST"), "cast"),
    **dict.fromkeys(("CONCATENATION", "PAD", "PADV2"), "move"),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), "free"),
}
KINDS = (*CONVOLVING, *dict.fromkeys(k for k in _KINDS.values() if k not in (*CONVOLVING, "free")))


@dataclass(frozen=True, slots=True)
class OperatorWork:
    """One operator. `kind` is one of KINDS, `free`, or TFLite's own name in small letters.

    `dtype` is `int8`, `float32`, or a type without figures: `dynamic`, `int16`.
    `output_pixels` and `kernel_pixels` count pixels, `channels_in` and `channels_out` channels.
    A depthwise filter has `channels_in` 1. An operator that multiplies nothing has 0
    `kernel_pixels` and `channels_in`.
    `values` counts the numbers read and written, without weights. `output` is the name of the
    tensor that the operator writes.
    """

    kind: str
    dtype: str
    output_pixels: int
    kernel_pixels: int
    channels_in: int
    channels_out: int
    values: int
    output: str = ""
    operator: str = ""

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of one picture."""
        return self.padded(1, 1)

    def padded(self, tile_out: int, tile_in: int) -> int:
        """Multiply-adds with channels rounded up to the tile of the processor's kernels."""
        channels_out = -(-self.channels_out // tile_out) * tile_out
        depthwise = self.channels_in <= 1 and self.kind == "depthwise"
        channels_in = self.channels_in if depthwise else -(-self.channels_in // tile_in) * tile_in
        return self.output_pixels * self.kernel_pixels * channels_in * channels_out


def tflite_schema() -> Any:
    """TFLite's file format as Python classes. Raises MissingPartError without ai-edge-litert."""
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError:
        raise MissingPartError(
            "figures of a box: ai-edge-litert is not installed, which reads and writes the "
            "operators; run: pip install ai-edge-litert"
        ) from None


def operator_works(tflite: bytes) -> tuple[OperatorWork, ...]:
    """The work of a model of one graph, in the order of execution.

    Operators on constants run once, when the model is loaded, and are left out.
    Raises MissingPartError without ai-edge-litert.
    """
    file = tflite_schema()
    model = file.ModelT.InitFromPackedBuf(bytearray(tflite), 0)
    graph = model.subgraphs[0]
    names = {v: k for k, v in vars(file.BuiltinOperator).items() if isinstance(v, int)}
    constant = {at for at, one in enumerate(graph.tensors) if _is_constant(model, one)}
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        input_numbers = [int(at) for at in operator.inputs if at >= 0]
        output_numbers = [int(at) for at in operator.outputs]
        if all(at in constant for at in input_numbers):
            constant.update(output_numbers)
            continue
        inputs = [graph.tensors[at] for at in input_numbers]
        variable = [graph.tensors[at] for at in input_numbers if at not in constant]
        outputs = [graph.tensors[at] for at in output_numbers]
        found.append(_work(file, name, inputs, variable, outputs))
    return tuple(found)


def _work(
    file: Any,
    name: str,
    inputs: Sequence[Any],
    variable: Sequence[Any],
    outputs: Sequence[Any],
) -> OperatorWork:
    """The work of one operator; `variable` are the inputs that are not constants."""
    output = outputs[0]
    values = sum(map(_size, variable)) + sum(map(_size, outputs))
    shape = _shape(output)
    channels_out = shape[-1] if shape else 1
    output_pixels = _size(output) // max(1, channels_out)
    kind, kernel_pixels, channels_in = _KINDS.get(name, name.lower()), 0, 0
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        kernel = _shape(inputs[1])
        kernel_pixels = 1 if name == "FULLY_CONNECTED" else kernel[1] * kernel[2]
        channels_in = 1 if name == "DEPTHWISE_CONV_2D" else kernel[-1]
        if name == "CONV_2D":
            kind = "pointwise" if kernel_pixels == 1 else "conv"
    return OperatorWork(
        kind=kind,
        dtype=_dtype(file, kind, inputs, outputs),
        output_pixels=output_pixels,
        kernel_pixels=kernel_pixels,
        channels_in=channels_in,
        channels_out=channels_out,
        values=values,
        output=bytes(output.name or b"").decode(errors="replace"),
        operator=name,
    )


def _dtype(file: Any, kind: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    types = file.TensorType
    read, written = {one.type for one in inputs}, {one.type for one in outputs}
    if types.INT16 in read | written:
        return "int16"
    if written <= {types.INT8, types.UINT8} or (kind == "cast" and types.INT8 in read):
        return "int8"
    if kind in CONVOLVING and types.INT8 in read:
        return "dynamic"  # weights of 8 bits, values of 32: each picture sets the ranges
    return "float32" if types.FLOAT32 in written else "other"


def _is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(side) for side in tensor.shape]


def _size(tensor: Any) -> int:
    return int(np.prod(_shape(tensor), dtype=np.int64))
