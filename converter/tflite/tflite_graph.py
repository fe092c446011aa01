"""Reads and edits the graph of a .tflite: lists operators, adds a uint8 input or a float head."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.loading import DenseHead
from edge.core.errors import ModelError

# TFLite's tensor types (schema.fbs, TensorType)
FLOAT32 = 0
UINT8 = 3


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: name, version, whether its output is float, and the name of its output."""

    name: str
    version: int
    is_float: bool
    output: str


def _flatbuffer_utils() -> Any:
    # the reader and writer of TensorFlow's converter
    return importlib.import_module("tensorflow.lite.tools.flatbuffer_utils")


def graph_count(tflite: bytes) -> int:
    """The number of graphs: one, plus one for each body and condition of a loop."""
    return len(_flatbuffer_utils().read_model_from_bytearray(bytearray(tflite)).subgraphs)


def read_model(tflite: bytes) -> tuple[Any, Any]:
    """TFLite's schema module and the model as objects. Raises ModelError for many graphs."""
    schema = importlib.import_module("tensorflow.lite.python.schema_py_generated")
    model = _flatbuffer_utils().read_model_from_bytearray(bytearray(tflite))
    if len(model.subgraphs) != 1:
        raise ModelError(
            f"the converted model has {len(model.subgraphs)} graphs instead of one; "
            "remove loops and branches from the network"
        )
    return schema, model


def write_model(model: Any) -> bytes:
    """The bytes of a .tflite. The same objects give the same bytes."""
    return bytes(_flatbuffer_utils().convert_object_to_bytearray(model))


def operator_name(schema: Any, code: Any) -> str:
    """TFLite's name of an operator code."""
    # codes above 127 are in the newer field; the older field is then 127
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    return str(names[builtin])


def operators(tflite: bytes) -> tuple[Operator, ...]:
    """The operators of a .tflite in execution order."""
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    names = [operator_name(schema, code) for code in model.operatorCodes]
    return tuple(
        Operator(
            names[op.opcodeIndex],
            model.operatorCodes[op.opcodeIndex].version,
            any(graph.tensors[at].type == FLOAT32 for at in op.outputs),
            bytes(graph.tensors[op.outputs[0]].name).decode(errors="replace"),
        )
        for op in graph.operators
    )


def input_scale(tflite: bytes) -> tuple[float, int]:
    """Scale and zero point of a quantised uint8 input: value = scale × (pixel − zero point).

    Raises ModelError for another input.
    """
    _, model = read_model(tflite)
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.type != UINT8 or tensor.quantization is None:
        raise ModelError("the converted model's input is not uint8; report this as a fault")
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def with_byte_input(tflite: bytes) -> bytes:
    """The model with a uint8 input, 0 to 255, instead of float32."""
    edit = _ModelEditor(tflite)
    graph = edit.graph
    (old,) = (int(at) for at in graph.inputs)
    if graph.tensors[old].type != FLOAT32:
        raise ModelError("the converted model's input is not float32; report this as a fault")
    pixels = edit.tensor("pixels_uint8", tuple(graph.tensors[old].shape), None)
    graph.tensors[pixels].type = UINT8
    cast = edit.operator("CAST", [pixels], [old])
    graph.operators = [cast, *graph.operators[:-1]]
    graph.inputs = np.array([pixels], np.int32)
    return edit.done()


def with_joined_outputs(tflite: bytes) -> bytes:
    """The model with its outputs, float32, (1, n of each), concatenated in their order."""
    edit = _ModelEditor(tflite)
    if len(edit.outputs) > 1:
        edit.join(sum(shape[1] for shape in edit.flat_shapes()))
    return edit.done()


def with_float_head(tflite: bytes, head: DenseHead) -> bytes:
    """The model with a float32 dense layer after its concatenated outputs.

    The outputs of `tflite` are float32, (1, features of each); the new one is float32, (1, n).
    Raises ModelError when they do not fit the head.
    """
    edit = _ModelEditor(tflite)
    count, n = head.weights.shape
    shapes = edit.flat_shapes()
    if sum(shape[1] for shape in shapes) != count:
        raise ModelError(f"the features have shape {shapes}, the head takes {[1, count]}")
    if len(edit.outputs) > 1:
        edit.join(count)
    kernel = edit.tensor("head/kernel", (n, count), np.ascontiguousarray(head.weights.T, "<f4"))
    offset = edit.tensor("head/bias", (n,), np.ascontiguousarray(head.bias, "<f4"))
    logits = edit.tensor("logits", (1, n), None)
    dense = edit.operator("FULLY_CONNECTED", [edit.outputs[0], kernel, offset], [logits])
    dense.builtinOptionsType = edit.schema.BuiltinOptions.FullyConnectedOptions
    dense.builtinOptions = edit.schema.FullyConnectedOptionsT()
    edit.outputs = [logits]
    return edit.done()


class _ModelEditor:
    """Edits a model. New operators have version 1, which the oldest runtimes know."""

    def __init__(self, tflite: bytes) -> None:
        self.schema, self._model = read_model(tflite)
        self.graph = self._model.subgraphs[0]
        self.outputs = [int(at) for at in self.graph.outputs]

    def flat_shapes(self) -> list[list[int]]:
        """The shapes of the outputs. Raises ModelError unless they are rows of float32."""
        tensors = [self.graph.tensors[at] for at in self.outputs]
        shapes = [[int(n) for n in tensor.shape] for tensor in tensors]
        rows = all(len(shape) == 2 and shape[0] == 1 for shape in shapes)
        if not rows or any(tensor.type != FLOAT32 for tensor in tensors):
            raise ModelError(f"the features have the shapes {shapes}, not rows of float32")
        return shapes

    def tensor(self, name: str, shape: Sequence[int], values: NDArray[Any] | None) -> int:
        """Adds a float32 tensor, constant if `values` is not None. Returns its index."""
        data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(self.schema.BufferT(data=data))
        tensor = self.schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = FLOAT32
        tensor.buffer = len(self._model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], outputs: list[int]) -> Any:
        """Adds an operator at the end of the graph."""
        code = self.schema.OperatorCodeT()
        number = getattr(self.schema.BuiltinOperator, name)
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = 1
        self._model.operatorCodes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        self.graph.operators.append(operator)
        return operator

    def join(self, count: int) -> None:
        """Joins the outputs into one, float32, (1, count)."""
        features = self.tensor("features", (1, count), None)
        join = self.operator("CONCATENATION", self.outputs, [features])
        join.builtinOptionsType = self.schema.BuiltinOptions.ConcatenationOptions
        join.builtinOptions = self.schema.ConcatenationOptionsT()
        join.builtinOptions.axis = 1
        self.outputs = [features]

    def done(self) -> bytes:
        """The bytes. Signatures are removed: their tensors may no longer be inputs or outputs."""
        self.graph.outputs = np.array(self.outputs, np.int32)
        self._model.signatureDefs = []
        return write_model(self._model)
