"""Features finer than int8: the last hidden layer is computed in several bands of eight bits.

Runtimes sometimes round an int8 value differently. Behind a sharp head, one step of one feature can
move the score by more than two boxes may differ. So f = relu(Wx + b) becomes the sum of clipped
pieces of its range, each with 255 steps. An int8 layer clips its output, so a band is the same
layer with another bias and scale; all bands share one array of weights. Most features are small,
so the upper band may be wide.
"""

import copy
from typing import Any

import numpy as np

from converter.tflite import read_model, write_model

# Relative widths of the bands. Each band costs time, and memory in each interpreter, which packs
# the weights again for every layer. docs/conversion.md says how the widths were chosen.
WIDTHS = (1, 1, 2)
_INT32 = 2


def with_bands(tflite: bytes, widths: tuple[int, ...] = WIDTHS) -> tuple[bytes, tuple[float, ...]]:
    """The model with its features in bands, and the factor of each band.

    The output is (1, bands × features), one band after the other. Each feature is the sum of its
    bands times their factors. A model whose features are no int8 dense layer with ReLU stays
    unchanged and has one band with the factor 1.
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
        # a band begins at 0, the lowest int8 value, as after ReLU
        or int(graph.tensors[dense.outputs[0]].quantization.zeroPoint[0]) != -128
    ):
        return tflite, (1.0,)
    band_operators = _bands(schema, model, dense, widths)

    join = schema.OperatorT()
    model.operatorCodes.append(schema.OperatorCodeT())
    joined = model.operatorCodes[-1]
    joined.builtinCode = joined.deprecatedBuiltinCode = schema.BuiltinOperator.CONCATENATION
    joined.version = 2  # the first version with int8
    join.opcodeIndex = len(model.operatorCodes) - 1
    join.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
    join.builtinOptions = schema.ConcatenationOptionsT()
    join.builtinOptions.axis = 1
    join.inputs = np.array([op.outputs[0] for op in band_operators], np.int32)
    whole = copy.deepcopy(graph.tensors[band_operators[0].outputs[0]])
    whole.name = b"features"
    whole.shape = np.array([1, whole.shape[1] * len(band_operators)], np.int32)
    graph.tensors.append(whole)
    join.outputs = np.array([len(graph.tensors) - 1], np.int32)
    dequantize.inputs = join.outputs
    graph.tensors[dequantize.outputs[0]].shape = whole.shape
    graph.operators = [*graph.operators[:-2], *band_operators, join, dequantize]
    return write_model(model), tuple(width / min(widths) for width in widths)


def _bands(schema: Any, model: Any, dense: Any, widths: tuple[int, ...]) -> list[Any]:
    graph = model.subgraphs[0]
    source, kernel, bias = (int(at) for at in dense.inputs)
    features = graph.tensors[dense.outputs[0]]
    name = bytes(features.name)  # reports find the layer by this name
    unit_range = 255 * float(features.quantization.scale[0]) / sum(widths)  # of a band of width 1
    # CONCATENATION needs one scale for all bands: that of the narrowest band. The scale of the
    # weights makes the wider bands smaller.
    step = unit_range * min(widths) / 255
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
        shifted = offset - np.rint(below * unit_range / unit).astype(np.int64)
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
