"""Writes small .tflite models, of single operators and small networks, to time on a box.

It uses the classes of ai-edge-litert, because a box has no TensorFlow. Weights are noise.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.device_latency.operator_work import tflite_schema

Dtype = Literal["int8", "float32"]
# The first version of each operator that takes int8; version 1 takes float32.
_INT8_VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "HARD_SWISH": 1,
    "RESHAPE": 1,
}
INT8_SCALE = 0.05


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor of the model; `number` is its index."""

    number: int
    shape: tuple[int, ...]


class ModelWriter:
    """Builds a model of one number type. Every map is (1, height, width, channels)."""

    def __init__(self, dtype: Dtype) -> None:
        self._file = tflite_schema()
        self._dtype = dtype
        self._rng = np.random.default_rng(0)
        self._buffers = [self._file.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, Any] = {}
        self._inputs: list[int] = []

    def input(self, shape: Sequence[int]) -> TensorRef:
        """Adds an input of the model."""
        tensor = self._tensor(shape)
        self._inputs.append(tensor.number)
        return tensor

    def conv(self, x: TensorRef, channels: int, kernel: int, stride: int = 1) -> TensorRef:
        """Adds a padded convolution with ReLU."""
        weights = self._weights((channels, kernel, kernel, x.shape[3]), 0)
        options = self._window("Conv2DOptions", stride)
        return self._apply(
            "CONV_2D",
            [x, weights, self._bias(channels)],
            _output_shape(x, stride, channels),
            options,
        )

    def depthwise(self, x: TensorRef, kernel: int, stride: int = 1) -> TensorRef:
        """Adds a padded depthwise convolution with ReLU."""
        channels = x.shape[3]
        weights = self._weights((1, kernel, kernel, channels), 3)
        options = self._window("DepthwiseConv2DOptions", stride)
        options.depthMultiplier = 1
        return self._apply(
            "DEPTHWISE_CONV_2D",
            [x, weights, self._bias(channels)],
            _output_shape(x, stride, channels),
            options,
        )

    def dense(self, x: TensorRef, channels: int) -> TensorRef:
        """Adds a dense layer on (1, n)."""
        weights = self._weights((channels, x.shape[-1]), None)
        options = self._file.FullyConnectedOptionsT()
        bias = self._bias(channels, one_scale=True)
        return self._apply("FULLY_CONNECTED", [x, weights, bias], (1, channels), options)

    def pool(self, x: TensorRef) -> TensorRef:
        """Adds max pooling of 2 × 2."""
        options = self._file.Pool2DOptionsT()
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
        options.padding = self._file.Padding.VALID
        shape = (1, x.shape[1] // 2, x.shape[2] // 2, x.shape[3])
        return self._apply("MAX_POOL_2D", [x], shape, options)

    def reduce(self, x: TensorRef, name: Literal["MEAN", "REDUCE_MAX"]) -> TensorRef:
        """Adds the mean or the maximum of a whole map: (1, channels)."""
        axes = self._constant(np.array([1, 2], np.int32))
        return self._apply(name, [x, axes], (1, x.shape[3]), self._file.ReducerOptionsT())

    def add(self, x: TensorRef, y: TensorRef) -> TensorRef:
        """Adds the sum of two maps."""
        return self._apply("ADD", [x, y], x.shape, self._file.AddOptionsT())

    def elementwise(
        self, x: TensorRef, name: Literal["RELU", "HARD_SWISH", "LOGISTIC", "SOFTMAX"]
    ) -> TensorRef:
        """Adds an operator that keeps the shape."""
        options = None
        if name == "SOFTMAX":
            options = self._file.SoftmaxOptionsT()
            options.beta = 1.0
        fixed = name in ("LOGISTIC", "SOFTMAX")  # int8 has these at 1/256 and -128 only
        return self._apply(name, [x], x.shape, options, scale=1 / 256 if fixed else INT8_SCALE)

    def cast(self, x: TensorRef) -> TensorRef:
        """Adds a cast of int8, or of 8-bit pixels, to float32."""
        types = self._file.TensorType
        output = self._tensor(x.shape, types.FLOAT32)
        if self._dtype == "float32":
            self._tensors[x.number].type = types.UINT8
            options = self._file.CastOptionsT()
            return self._apply("CAST", [x], output.shape, options, output=output)
        return self._apply("DEQUANTIZE", [x], output.shape, output=output)

    def join(self, x: TensorRef, y: TensorRef) -> TensorRef:
        """Adds the concatenation of two maps along the channels."""
        options = self._file.ConcatenationOptionsT()
        options.axis = len(x.shape) - 1
        shape = (*x.shape[:-1], x.shape[-1] + y.shape[-1])
        return self._apply("CONCATENATION", [x, y], shape, options)

    def flatten(self, x: TensorRef) -> TensorRef:
        """Adds a reshape to (1, n)."""
        shape = (1, int(np.prod(x.shape)))
        target = self._constant(np.array(shape, np.int32))
        return self._apply("RESHAPE", [x, target], shape, self._file.ReshapeOptionsT())

    def finish(self, outputs: Sequence[TensorRef]) -> bytes:
        """The bytes of the finished model."""
        graph = self._file.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs = np.array(self._inputs, np.int32)
        graph.outputs = np.array([one.number for one in outputs], np.int32)
        model = self._file.ModelT()
        model.version, model.description = 3, b""
        model.operatorCodes = list(self._codes.values())
        model.subgraphs, model.buffers = [graph], self._buffers
        builder = importlib.import_module("flatbuffers").Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _window(self, name: str, stride: int) -> Any:
        options = getattr(self._file, f"{name}T")()
        options.padding = self._file.Padding.SAME
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = self._file.ActivationFunctionType.RELU
        return options

    def _apply(
        self,
        name: str,
        inputs: Sequence[TensorRef],
        shape: Sequence[int],
        options: Any = None,
        *,
        output: TensorRef | None = None,
        scale: float = INT8_SCALE,
    ) -> TensorRef:
        if name not in self._codes:
            number = getattr(self._file.BuiltinOperator, name)
            code = self._file.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            code.version = _INT8_VERSIONS.get(name, 2) if self._dtype == "int8" else 1
            self._codes[name] = code
        output = output or self._tensor(shape, scale=scale)
        operator = self._file.OperatorT()
        operator.opcodeIndex = list(self._codes).index(name)
        operator.inputs = np.array([one.number for one in inputs], np.int32)
        operator.outputs = np.array([output.number], np.int32)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self._file.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def _tensor(
        self, shape: Sequence[int], kind: int | None = None, scale: float = INT8_SCALE
    ) -> TensorRef:
        types = self._file.TensorType
        default = types.INT8 if self._dtype == "int8" else types.FLOAT32
        tensor = self._file.TensorT()
        tensor.name = f"t{len(self._tensors)}".encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = default if kind is None else kind
        tensor.buffer = 0
        if tensor.type == types.INT8:
            zero = -128 if scale != INT8_SCALE else 0
            tensor.quantization = self._quantization(np.array([scale], np.float32), 0, zero)
        self._tensors.append(tensor)
        return TensorRef(len(self._tensors) - 1, tuple(shape))

    def _quantization(self, scales: NDArray[np.float32], dimension: int, zero: int = 0) -> Any:
        parameters = self._file.QuantizationParametersT()
        parameters.scale = scales
        parameters.zeroPoint = np.full(len(scales), zero, np.int64)
        parameters.quantizedDimension = dimension
        return parameters

    def _constant(self, values: NDArray[Any]) -> TensorRef:
        types = self._file.TensorType
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._buffers.append(self._file.BufferT(data=data))
        kinds = {"int8": types.INT8, "int32": types.INT32, "float32": types.FLOAT32}
        tensor = self._tensor(values.shape, kinds[values.dtype.name])
        self._tensors[tensor.number].buffer = len(self._buffers) - 1
        return tensor

    def _weights(self, shape: Sequence[int], dimension: int | None) -> TensorRef:
        if self._dtype == "float32":
            return self._constant(self._rng.normal(size=shape).astype(np.float32))
        tensor = self._constant(self._rng.integers(-127, 128, shape).astype(np.int8))
        scales = 1 if dimension is None else shape[dimension]
        self._tensors[tensor.number].quantization = self._quantization(
            np.full(scales, 0.01, np.float32), dimension or 0
        )
        return tensor

    def _bias(self, channels: int, *, one_scale: bool = False) -> TensorRef:
        if self._dtype == "float32":
            return self._constant(np.zeros(channels, np.float32))
        tensor = self._constant(np.zeros(channels, np.int32))
        count = 1 if one_scale else channels
        self._tensors[tensor.number].quantization = self._quantization(
            np.full(count, 0.01 * INT8_SCALE, np.float32), 0
        )
        return tensor


def _output_shape(x: TensorRef, stride: int, channels: int) -> tuple[int, ...]:
    return (1, -(-x.shape[1] // stride), -(-x.shape[2] // stride), channels)
