"""Folds the network's scaling of pixels into the quantisation of the int8 input.

Scaling to −1…1 puts every int8 value exactly between two steps. Two runtimes break that tie
differently, and all later layers differ. As part of the input scale, nothing is rounded.
"""

import copy
from typing import Any

import numpy as np

from converter.tflite import read_model, write_model
from converter.tflite.tflite_graph import operator_name

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_TOLERANCE = 1e-3  # of a step


def with_folded_scaling(tflite: bytes) -> bytes:
    """The model without MUL, ADD and SUB by constants between its uint8 input and convolutions.

    The input stays raw pixels. The remainder of the offset, at most half a step, goes into the
    biases of the convolutions. A graph with another beginning stays unchanged.
    """
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    chain, factor, offset = _scaling_operators(schema, model)
    if not chain or factor <= 0:
        return tflite
    scaled = int(chain[-1].outputs[0])
    exact = -128 - offset / factor
    zero = round(exact)
    remainder = exact - zero
    users = [op for op in graph.operators if scaled in op.inputs]
    names = {operator_name(schema, model.operatorCodes[op.opcodeIndex]) for op in users}
    biased = all(len(op.inputs) > 2 and int(op.inputs[2]) >= 0 for op in users)
    foldable = names <= set(_CONVOLUTIONS) and biased
    before = float(graph.tensors[scaled].quantization.scale[0])
    nothing_to_fold = abs(remainder) < _TOLERANCE and abs(before / factor - 1) < _TOLERANCE / 255
    if not -128 <= zero <= 127 or not (foldable or nothing_to_fold):
        return tflite
    for op in users if foldable else ():
        depthwise = "DEPTHWISE" in operator_name(schema, model.operatorCodes[op.opcodeIndex])
        _shift_bias(schema, model, op, (before / factor, remainder), depthwise=depthwise)
    for place, zero_point in ((int(graph.inputs[0]), zero + 128), (scaled, zero)):
        quantization = graph.tensors[place].quantization
        quantization.scale = np.array([factor], np.float32)
        quantization.zeroPoint = np.array([zero_point], np.int64)
    graph.operators[0].outputs = np.array([scaled], np.int32)
    graph.operators = [op for op in graph.operators if all(op is not gone for gone in chain)]
    return write_model(model)


def _scaling_operators(schema: Any, model: Any) -> tuple[list[Any], float, float]:
    """The scaling operators after QUANTIZE, and their effect: × factor + offset."""
    graph = model.subgraphs[0]
    first = graph.operators[0]
    if operator_name(schema, model.operatorCodes[first.opcodeIndex]) != "QUANTIZE":
        return [], 1.0, 0.0
    chain: list[Any] = []
    factor, offset, at = 1.0, 0.0, int(first.outputs[0])
    while True:
        users = [op for op in graph.operators if at in op.inputs]
        if len(users) != 1:
            return chain, factor, offset
        name = operator_name(schema, model.operatorCodes[users[0].opcodeIndex])
        constant = _scalar_constant(model, users[0], at) if name in ("MUL", "ADD", "SUB") else None
        if constant is None or users[0].builtinOptions.fusedActivationFunction != 0:
            return chain, factor, offset
        if name == "MUL":
            factor, offset = factor * constant, offset * constant
        else:
            offset += constant if name == "ADD" else -constant
        chain.append(users[0])
        at = int(users[0].outputs[0])


def _scalar_constant(model: Any, op: Any, picture: int) -> float | None:
    """The single constant of an operator on the tensor `picture`, or None."""
    if int(op.inputs[0]) != picture:
        return None
    tensor = model.subgraphs[0].tensors[int(op.inputs[1])]
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) != 1:
        return None
    value = float(np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.int8)[0])
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
    return (value - float(zero)) * float(scale)


def _shift_bias(
    schema: Any, model: Any, op: Any, change: tuple[float, float], *, depthwise: bool
) -> None:
    """Gives a convolution a new bias: in the new scale, with the remainder of the zero point.

    `change` is (old scale / new scale, remainder of the zero point in steps). The old bias stays,
    because other operators may share it.
    """
    ratio, remainder = change
    tensors = model.subgraphs[0].tensors
    kernel, bias = tensors[int(op.inputs[1])], copy.deepcopy(tensors[int(op.inputs[2])])
    raw = np.asarray(model.buffers[kernel.buffer].data, np.uint8).tobytes()
    weights = np.frombuffer(raw, np.int8).reshape([int(n) for n in kernel.shape]).astype(np.int64)
    sums = weights.sum(axis=(0, 1, 2) if depthwise else (1, 2, 3))
    old = np.frombuffer(np.asarray(model.buffers[bias.buffer].data, np.uint8).tobytes(), "<i4")
    new = np.rint(old.astype(np.float64) * ratio - remainder * sums).clip(-(2**31), 2**31 - 1)
    model.buffers.append(schema.BufferT(data=np.frombuffer(new.astype("<i4").tobytes(), np.uint8)))
    bias.buffer = len(model.buffers) - 1
    bias.name = bytes(bias.name) + b"/shifted"
    bias.quantization.scale = (np.asarray(bias.quantization.scale) / ratio).astype(np.float32)
    tensors.append(bias)
    inputs = [int(at) for at in op.inputs]
    inputs[2] = len(tensors) - 1
    op.inputs = np.array(inputs, np.int32)
