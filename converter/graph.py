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
    """The model with a dense layer in float32 after its outputs, concatenated by name.

    The outputs of `tflite` are float32, (1, features of each). `weights` is (all features, n) as
    Keras keeps them, `bias` is (n,). The new output is float32, (1, n). Raises ModelError when
    they do not fit.
    """
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    outputs = _by_name(model)
    shapes = [[int(n) for n in graph.tensors[at].shape] for at in outputs]
    fit = all(len(shape) == 2 and shape[0] == 1 for shape in shapes)
    if (
        not fit
        or sum(shape[1] for shape in shapes) != weights.shape[0]
        or any(graph.tensors[at].type != _FLOAT32 for at in outputs)
    ):
        raise ModelError(
            f"the features have shape {shapes}, the head takes {[1, weights.shape[0]]} of float32"
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

    def add_operator(name: str) -> Any:
        # Version 1 of its own: the oldest runtimes know it, whatever the int8 layers need.
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        graph.operators.append(operator)
        return operator

    features = outputs[0]
    if len(outputs) > 1:
        features = add_tensor("features", (1, weights.shape[0]), None)
        join = add_operator("CONCATENATION")
        join.inputs = np.array(outputs, np.int32)
        join.outputs = np.array([features], np.int32)
        join.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
        join.builtinOptions = schema.ConcatenationOptionsT()
        join.builtinOptions.axis = 1
    dense = add_operator("FULLY_CONNECTED")
    dense.inputs = np.array([features, kernel, offset], np.int32)
    dense.outputs = np.array([logits], np.int32)
    dense.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    dense.builtinOptions = schema.FullyConnectedOptionsT()
    graph.outputs = np.array([logits], np.int32)
    for signature in model.signatureDefs or []:
        signature.outputs = signature.outputs[:1]
        signature.outputs[0].tensorIndex = logits
    return write_model(model)


def _by_name(model: Any) -> list[int]:
    """The tensors that are outputs, in the order of their names in the signature."""
    found = [int(at) for at in model.subgraphs[0].outputs]
    if len(found) == 1:
        return found
    named = {bytes(out.name): int(out.tensorIndex) for out in model.signatureDefs[0].outputs}
    if sorted(named.values()) != sorted(found):
        raise ModelError("the converted model does not name its outputs; report this as a fault")
    return [named[name] for name in sorted(named)]
