"""What each operator of a .tflite has to do: the numbers that its time depends on."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.core.errors import MissingPartError

# TFLite's operators by what they cost like. What is in none of these has no figure anywhere.
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
        """Multiplications with additions of a picture."""
        return self.padded(1, 1)

    def padded(self, tile_out: int, tile_in: int) -> int:
        """Multiply-adds with channels rounded up to what the processor computes at once."""
        channels_out = -(-self.channels_out // tile_out) * tile_out
        alone = self.channels_in <= 1 and self.kind == "depthwise"
        channels_in = self.channels_in if alone else -(-self.channels_in // tile_in) * tile_in
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
    """The work of a model of one graph, in the order in which it runs.

    Operators that unpack constants run once, when the model is loaded, and are left out.
    Raises MissingPartError without ai-edge-litert.
    """
    file = tflite_schema()
    model = file.ModelT.InitFromPackedBuf(bytearray(tflite), 0)
    graph = model.subgraphs[0]
    names = {v: k for k, v in vars(file.BuiltinOperator).items() if isinstance(v, int)}
    constant = {at for at, one in enumerate(graph.tensors) if _filled(model, one)}
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        read = [int(at) for at in operator.inputs if at >= 0]
        made = [int(at) for at in operator.outputs]
        if all(at in constant for at in read):
            constant.update(made)
            continue
        channels_in = [graph.tensors[at] for at in read]
        moving = [graph.tensors[at] for at in read if at not in constant]
        channels_out = [graph.tensors[at] for at in made]
        found.append(_work(file, name, channels_in, moving, channels_out))
    return tuple(found)


def _work(
    file: Any,
    name: str,
    channels_in: Sequence[Any],
    moving: Sequence[Any],
    channels_out: Sequence[Any],
) -> OperatorWork:
    out = channels_out[0]
    values = sum(map(_size, moving)) + sum(map(_size, channels_out))
    shape = _shape(out)
    channels = shape[-1] if shape else 1
    output_pixels = _size(out) // max(1, channels)
    kind, kernel_pixels, inner = _KINDS.get(name, name.lower()), 0, 0
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        kernel = _shape(channels_in[1])
        kernel_pixels = 1 if name == "FULLY_CONNECTED" else kernel[1] * kernel[2]
        inner = 1 if name == "DEPTHWISE_CONV_2D" else kernel[-1]
        if name == "CONV_2D":
            kind = "pointwise" if kernel_pixels == 1 else "conv"
    return OperatorWork(
        kind=kind,
        dtype=_dtype(file, kind, channels_in, channels_out),
        output_pixels=output_pixels,
        kernel_pixels=kernel_pixels,
        channels_in=inner,
        channels_out=channels,
        values=values,
        output=bytes(out.name or b"").decode(errors="replace"),
        operator=name,
    )


def _dtype(file: Any, kind: str, channels_in: Sequence[Any], channels_out: Sequence[Any]) -> str:
    types = file.TensorType
    read, made = {one.type for one in channels_in}, {one.type for one in channels_out}
    if types.INT16 in read | made:
        return "int16"
    if made <= {types.INT8, types.UINT8} or (kind == "cast" and types.INT8 in read):
        return "int8"
    if kind in CONVOLVING and types.INT8 in read:
        return "dynamic"  # weights of 8 bits, values of 32: ranges are taken at each picture
    return "float32" if types.FLOAT32 in made else "other"


def _filled(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(side) for side in tensor.shape]


def _size(tensor: Any) -> int:
    return int(np.prod(_shape(tensor), dtype=np.int64))
