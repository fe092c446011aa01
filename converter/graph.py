"""The graph inside a .tflite: which operators it has, and a float head set on top of it."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError

# TFLite's tensor types (schema.fbs, TensorType)
_FLOAT32 = 0
_UINT8 = 3


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a graph: TFLite's name of it, its version, whether it computes in float."""

    name: str
    version: int
    is_float: bool


def _utils() -> Any:
    # TensorFlow's own reader and writer: the converter's last step goes through them too
    return importlib.import_module("tensorflow.lite.tools.flatbuffer_utils")


def read_model(tflite: bytes) -> tuple[Any, Any]:
    """TFLite's schema module and the model as its objects. Raises ModelError for many graphs."""
    schema = importlib.import_module("tensorflow.lite.python.schema_py_generated")
    model = _utils().read_model_from_bytearray(bytearray(tflite))
    if len(model.subgraphs) != 1:
        raise ModelError(
            f"the converted model has {len(model.subgraphs)} graphs, wanted one; "
            "take loops and branches out of the network"
        )
    return schema, model


def write_model(model: Any) -> bytes:
    """The bytes of a .tflite from its objects; the same objects give the same bytes."""
    return bytes(_utils().convert_object_to_bytearray(model))


def operators(tflite: bytes) -> tuple[Operator, ...]:
    """The operators of a .tflite in the order in which they run."""
    schema, model = read_model(tflite)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    graph = model.subgraphs[0]
    found = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        # codes above 127 stand in the newer field, the older one holds 127 then
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        is_float = any(graph.tensors[at].type == _FLOAT32 for at in op.outputs)
        found.append(Operator(names[builtin], code.version, is_float))
    return tuple(found)


def input_scale(tflite: bytes) -> tuple[float, int]:
    """Scale and zero point of a uint8 input: value = scale × (pixel − zero point)."""
    _, model = read_model(tflite)
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.type != _UINT8:
        raise ModelError("the converted model's input is not uint8; report this as a fault")
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def with_float_head(
    tflite: bytes, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> bytes:
    """The model with a dense layer in float32 after its one output.

    The output of `tflite` is float32, (1, features). `weights` is (features, n) as Keras keeps
    them, `bias` is (n,). The new output is float32, (1, n). Raises ModelError when they do not fit.
    """
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    (features,) = graph.outputs
    shape = [int(n) for n in graph.tensors[features].shape]
    if shape != [1, weights.shape[0]] or graph.tensors[features].type != _FLOAT32:
        raise ModelError(
            f"the features have shape {shape}, the head takes {[1, weights.shape[0]]} of float32"
        )

    def add_tensor(name: str, shape: tuple[int, ...], values: NDArray[np.float32] | None) -> int:
        data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(schema.BufferT(data=data))
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _FLOAT32
        tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    n = weights.shape[1]
    kernel = add_tensor(
        "head/kernel", (n, weights.shape[0]), np.ascontiguousarray(weights.T, "<f4")
    )
    offset = add_tensor("head/bias", (n,), np.ascontiguousarray(bias, "<f4"))
    logits = add_tensor("logits", (1, n), None)

    # Version 1 of its own: the oldest runtimes know it, whatever version the int8 layers need.
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model.operatorCodes.append(code)
    dense = schema.OperatorT()
    dense.opcodeIndex = len(model.operatorCodes) - 1
    dense.inputs = np.array([features, kernel, offset], np.int32)
    dense.outputs = np.array([logits], np.int32)
    dense.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    dense.builtinOptions = schema.FullyConnectedOptionsT()
    graph.operators.append(dense)
    graph.outputs = np.array([logits], np.int32)
    for signature in model.signatureDefs or []:
        for output in signature.outputs:
            output.tensorIndex = logits
    return write_model(model)
