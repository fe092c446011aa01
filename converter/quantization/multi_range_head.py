"""Finer features than int8 allows: the last hidden layer computed in bands of eight bits each.

Runtimes round an int8 value differently now and then, and behind a sharp head one step of one
feature can move the score by more than two boxes may differ. So f = relu(Wx + b) is computed as
the sum of clipped pieces of its range, each with its own 255 steps. An int8 layer clips by itself,
so a band is the same layer with another bias and another scale; all bands share the one array of
weights. Most features are small most of the time: the upper band may be wide.
"""

import copy
from typing import Any

import numpy as np

from converter.tflite import read_model, write_model

# Of a feature's range. Each band costs its share of time, and of memory in each interpreter, which
# packs the weights again for every layer. How they were chosen: docs/conversion.md.
WIDTHS = (1, 1, 2)
_INT32 = 2


def with_bands(tflite: bytes, widths: tuple[int, ...] = WIDTHS) -> tuple[bytes, tuple[float, ...]]:
    """The model with its features in bands, and what each band counts.

    The features come as bands one after the other, (1, bands × features): each feature is the sum
    of its bands, each times what it counts. Unchanged, with one band that counts 1, where the
    features are no int8 dense layer with ReLU.
    """
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    if len(graph.operators) < 2:
        return tflite, (1.0,)
    dense, dequantize = graph.operators[-2:]
    code = model.operatorCodes[dense.opcodeIndex]
    if (
        max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.FULLY_CONNECTED
        or dense.builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.RELU
        or list(dequantize.inputs) != list(dense.outputs)
        # a band begins at 0, the lowest int8 value: as ReLU leaves it
        or int(graph.tensors[dense.outputs[0]].quantization.zeroPoint[0]) != -128
    ):
        return tflite, (1.0,)
    fine = _bands(schema, model, dense, widths)

    join = schema.OperatorT()
    model.operatorCodes.append(schema.OperatorCodeT())
    joined = model.operatorCodes[-1]
    joined.builtinCode = joined.deprecatedBuiltinCode = schema.BuiltinOperator.CONCATENATION
    joined.version = 2  # the first that takes int8
    join.opcodeIndex = len(model.operatorCodes) - 1
    join.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
    join.builtinOptions = schema.ConcatenationOptionsT()
    join.builtinOptions.axis = 1
    join.inputs = np.array([op.outputs[0] for op in fine], np.int32)
    whole = copy.deepcopy(graph.tensors[fine[0].outputs[0]])
    whole.name = b"features"
    whole.shape = np.array([1, whole.shape[1] * len(fine)], np.int32)
    graph.tensors.append(whole)
    join.outputs = np.array([len(graph.tensors) - 1], np.int32)
    dequantize.inputs = join.outputs
    graph.tensors[dequantize.outputs[0]].shape = whole.shape
    graph.operators = [*graph.operators[:-2], *fine, join, dequantize]
    return write_model(model), tuple(width / min(widths) for width in widths)


def _bands(schema: Any, model: Any, dense: Any, widths: tuple[int, ...]) -> list[Any]:
    graph = model.subgraphs[0]
    source, kernel, bias = (int(at) for at in dense.inputs)
    features = graph.tensors[dense.outputs[0]]
    name = bytes(features.name)  # by which the layer is found in reports
    reach = 255 * float(features.quantization.scale[0]) / sum(widths)  # of a width of 1
    # All bands must have one scale to be joined: that of the narrowest. A wider one is made smaller
    # by its weights' scale instead.
    step = reach * min(widths) / 255
    weight_scale = np.asarray(graph.tensors[kernel].quantization.scale, np.float64)
    unit = float(graph.tensors[source].quantization.scale[0]) * weight_scale  # of the accumulator
    count = int(features.shape[1])
    offset = np.zeros(count, np.int64)
    if bias >= 0:
        raw = np.asarray(model.buffers[graph.tensors[bias].buffer].data, np.uint8)
        offset = np.frombuffer(raw.tobytes(), "<i4").astype(np.int64)
    found = []
    below = 0
    for at, width in enumerate(widths):
        shifted = offset - np.rint(below * reach / unit).astype(np.int64)
        below += width
        data = shifted.clip(-(2**31), 2**31 - 1).astype("<i4").tobytes()
        model.buffers.append(schema.BufferT(data=np.frombuffer(data, np.uint8)))
        smaller = min(widths) / width
        its_kernel = copy.deepcopy(graph.tensors[kernel])
        its_kernel.name = name + f"/band{at}/kernel".encode()
        its_kernel.quantization.scale = (weight_scale * smaller).astype(np.float32)
        its_bias = copy.deepcopy(graph.tensors[bias]) if bias >= 0 else schema.TensorT()
        its_bias.name, its_bias.type = name + f"/band{at}/bias".encode(), _INT32
        its_bias.shape = np.array([count], np.int32)
        its_bias.buffer = len(model.buffers) - 1
        its_bias.quantization = schema.QuantizationParametersT()
        its_bias.quantization.scale = (unit * smaller).astype(np.float32)
        its_bias.quantization.zeroPoint = np.zeros(len(unit), np.int64)
        output = copy.deepcopy(features)
        output.name = name + f"/band{at}".encode()
        output.quantization.scale = np.array([step], np.float32)
        graph.tensors += [its_kernel, its_bias, output]
        band = copy.deepcopy(dense)
        last = len(graph.tensors)
        band.inputs = np.array([source, last - 3, last - 2], np.int32)
        band.outputs = np.array([last - 1], np.int32)
        found.append(band)
    return found
