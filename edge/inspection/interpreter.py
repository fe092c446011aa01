"""Runs a TFLite model with ai-edge-litert or tflite-runtime. No other module imports them."""

import importlib
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import MissingPartError, ModelError
from edge.core.terms import Kernels, Runtime, Scaling
from edge.inspection.pixel_scaling import InputFilling, InputTensor

_MODULES = {
    "litert": ("ai_edge_litert.interpreter", "pip install ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "pip install '.[tflite-runtime]'"),
}


class Classifier(Protocol):
    """A model as the inspector uses it; tests judge without a real one."""

    @property
    def memory_bytes(self) -> int: ...

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def clone(self) -> "Classifier": ...


def runtime_module(runtime: Runtime) -> tuple[str, Any]:
    """The runtime's name and module. Raises MissingPartError with the command that installs it."""
    wanted = ("litert", "tflite-runtime") if runtime == "auto" else (runtime,)
    for name in wanted:
        try:
            return name, importlib.import_module(_MODULES[name][0])
        except ImportError:
            continue
    raise MissingPartError(
        f"model.interpreter: {runtime}: no such TFLite runtime is installed; "
        f"run: {_MODULES[wanted[0]][1]}"
    )


_SIGN = np.uint8(0x80)


class TFLiteClassifier:
    """A loaded model: one picture in, one row of numbers out. Not thread-safe.

    `shape` is the input's (height, width, channels), `outputs` the length of the output row,
    `memory_bytes` about how much memory the runtime takes: its copy of the model, and its tensors.
    """

    def __init__(
        self,
        model: bytes,
        name: str,
        runtime: Runtime = "auto",
        threads: int = 1,
        kernels: Kernels = "quickest",
        *,
        plain: bool = False,
        scaling: Scaling | None = None,
    ) -> None:
        """`model`: a whole file that `load_model_file` read or the converter made. Damaged bytes
        may crash the process.

        `plain`: edge-convert did not make it, so pixels are scaled by `scaling` and by the scale
        and zero point of its input tensor. Otherwise the tensor takes raw pixels. Raises
        ModelError.
        """
        self._clone = partial(
            TFLiteClassifier,
            model,
            name,
            runtime,
            threads,
            kernels,
            plain=plain,
            scaling=scaling,
        )
        self.runtime, module = runtime_module(runtime)
        chosen = {}
        if kernels == "built-in":
            resolvers = module.OpResolverType
            chosen["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._tflite = module.Interpreter(model_content=model, num_threads=threads, **chosen)
            self._tflite.allocate_tensors()
            (self._in,) = self._tflite.get_input_details()
            (self._out,) = self._tflite.get_output_details()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{name}: {self.runtime} cannot load it ({reason}); "
                "use a .tflite file with one input and one output, made by edge-convert"
            ) from error
        self.shape = _picture_shape(self._in, name)
        self.outputs = int(self._out["shape"][-1])
        known = (np.uint8, np.int8, np.float32, *((np.int16,) if plain else ()))
        if self._in["dtype"] not in known:
            raise ModelError(
                f"{name}: input type {self._in['dtype'].__name__} is not supported; "
                "use a model made by edge-convert"
            )
        _check_output(self._out, name)
        self.filling = _filling(self._in, name, scaling) if plain else None
        self.memory_bytes = len(model) + _tensor_bytes(self._tflite.get_tensor_details())

    def clone(self) -> "TFLiteClassifier":
        """Loads the model again, for another thread. Raises ModelError."""
        return self._clone()

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Raw dequantised outputs, float32, (outputs,). `picture` is uint8, `self.shape`."""
        if picture.shape != self.shape or picture.dtype != np.uint8:
            raise ModelError(f"a picture of shape {picture.shape}, wanted {self.shape} of uint8")
        tensor: NDArray[Any] = picture[None]
        if self.filling is not None:
            tensor = self.filling(picture)
        elif self._in["dtype"] == np.int8:
            tensor = (tensor ^ _SIGN).view(np.int8)  # minus 128
        elif self._in["dtype"] == np.float32:
            tensor = picture[None].astype(np.float32)
        self._tflite.set_tensor(self._in["index"], tensor)
        self._tflite.invoke()
        row = self._tflite.get_tensor(self._out["index"]).reshape(-1)
        if row.dtype in (np.int8, np.uint8, np.int16):
            scale, zero = self._out["quantization"]
            row = (row.astype(np.float32) - zero) * scale
        return np.asarray(row, np.float32)


def _picture_shape(tensor: dict[str, Any], name: str) -> tuple[int, int, int]:
    """Height, width and channels of the input. Raises ModelError when it takes no picture."""
    shape = tuple(int(n) for n in tensor["shape"])
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise ModelError(
            f"{name}: its input has shape {list(shape)}, a picture classifier has "
            "[1, height, width, 1 or 3]; use a model made by edge-convert"
        )
    return shape[1], shape[2], shape[3]


def _tensor_bytes(tensors: Sequence[dict[str, Any]]) -> int:
    """The size of all tensors, weights included."""
    return sum(math.prod(map(int, t["shape"])) * np.dtype(t["dtype"]).itemsize for t in tensors)


def _filling(tensor: dict[str, Any], name: str, scaling: Scaling | None) -> InputFilling:
    """How the input tensor of a plain model is filled. Raises ModelError."""
    quantisation = tensor["quantization_parameters"]
    scales, zeros = quantisation["scales"], quantisation["zero_points"]
    if len(scales) > 1:
        raise ModelError(
            f"{name}: its input has {len(scales)} scales, one for each channel; "
            "use a model made by edge-convert"
        )
    return InputTensor(
        name,
        tensor["dtype"],
        int(tensor["shape"][3]),
        float(scales[0]) if len(scales) else None,
        int(zeros[0]) if len(scales) else 0,
    ).filling(scaling)


def _check_output(tensor: dict[str, Any], name: str) -> None:
    """Raises ModelError when the output is not one row of numbers, or has no scale."""
    shape, dtype = [int(n) for n in tensor["shape"]], tensor["dtype"]
    if not shape or math.prod(shape) != shape[-1]:
        raise ModelError(
            f"{name}: its output has shape {shape}, a picture classifier has [1, classes]; "
            "use a model made by edge-convert"
        )
    integer = dtype in (np.uint8, np.int8, np.int16)
    if not (dtype == np.float32 or integer) or (integer and not tensor["quantization"][0] > 0):
        raise ModelError(
            f"{name}: its output is {np.dtype(dtype).name}"
            f"{' without a scale' if integer else ''}, which is no score; "
            "use a model made by edge-convert"
        )
