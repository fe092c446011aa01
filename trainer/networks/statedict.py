"""Reads the arrays in a .pth file of PyTorch's older format, without PyTorch.

A .pth is a pickle, and a pickle can call any function. This reader allows the four names that a
state dict of plain tensors needs, maps them to classes of ours, and refuses all others.
"""

import collections
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True, slots=True)
class _PendingTensor:
    """A tensor whose numbers follow later in the file. Offset and strides count elements."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name: float32 or int64, in PyTorch's shapes.

    Raises ModelError for a file that is missing, damaged, or holds anything but plain tensors.
    """
    try:
        stream = io.BytesIO(path.read_bytes())
        if _plain(stream) != MAGIC or _plain(stream) != PROTOCOL:
            raise ModelError(f"{path}: not a .pth file of the format of 2016; install it again")
        _plain(stream)  # sizes and byte order of the machine that wrote it
        reader = _TensorUnpickler(stream)
        tensors = reader.load()
        keys = _plain(stream)
        storages = {str(key): _storage(stream, reader.storages[str(key)]) for key in keys}
        return {str(name): _array(storages, pending) for name, pending in tensors.items()}
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); install it again") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        raise ModelError(
            f"{path}: not a whole file of plain tensors ({error}); install it again"
        ) from error


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles a dict of tensors; `storages` then has the type and length of each storage."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, tuple[str, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch", "FloatStorage"): "FloatStorage",
            ("torch", "LongStorage"): "LongStorage",
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, _, count, _ = pid
        if kind not in _DTYPES:
            raise pickle.UnpicklingError(f"it holds a {kind}")
        self.storages[str(key)] = (str(kind), int(count))
        return str(key)


class _PlainUnpickler(pickle.Unpickler):
    """Numbers, strings, lists and dicts only."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _plain(stream: io.BytesIO) -> Any:
    return _PlainUnpickler(stream).load()


def _rebuild(key: str, offset: int, shape: Any, strides: Any, *_: Any) -> _PendingTensor:
    return _PendingTensor(key, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _storage(stream: io.BytesIO, kind_and_count: tuple[str, int]) -> NDArray[Any]:
    kind, count = kind_and_count
    (written,) = np.frombuffer(stream.read(8), "<i8")
    if written != count:
        raise ValueError(f"a storage of {written} numbers where {count} were announced")
    dtype = np.dtype(_DTYPES[kind])
    return np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)


def _array(storages: dict[str, NDArray[Any]], pending: _PendingTensor) -> NDArray[Any]:
    flat = storages[pending.key]
    last = pending.offset + sum((n - 1) * s for n, s in zip(pending.shape, pending.strides))
    if min((pending.offset, *pending.strides, *pending.shape)) < 0 or last >= len(flat):
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(s * flat.itemsize for s in pending.strides)
    return np.lib.stride_tricks.as_strided(flat[pending.offset :], pending.shape, steps).copy()
