"""Picture slots in memory that two processes share: the child writes a picture, the daemon judges
it where it lies.

A slot belongs to one side at a time. The daemon lends a slot, the child fills it and gives it back
with a message; nobody writes into a slot while a picture in it is alive. The memory has no name, so
the kernel frees it with the last process that holds it, however that ends.
"""

import fcntl
import mmap
import os
import struct
from collections import deque
from typing import Any

import numpy as np

from edge.capture.camera import Pixels
from edge.errors import CameraError

SLOTS = 6
_HEAD = struct.Struct("<QQ")  # number of the picture, bytes
_TAIL = struct.Struct("<Q")  # the number again, written last
_PAGE = 4096
_MAX_BYTES = 192_000_000  # as edge.picture.MAX_PIXELS: what no inspection camera exceeds

Shape = tuple[int, int, int]


def new_memory(name: str) -> int:
    """A file descriptor of empty memory without a name in any folder; the caller closes it."""
    return os.memfd_create(f"camera-{name}"[:200], os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _slot_bytes(shape: Shape) -> int:
    size = _HEAD.size + shape[0] * shape[1] * shape[2] + _TAIL.size
    return -(-size // _PAGE) * _PAGE


class _Picture:
    """A picture's claim on its slot: the array that shows it keeps this alive, and its end gives
    the slot back."""

    def __init__(self, ring: "Ring", slot: int) -> None:
        self._ring, self._slot = ring, slot
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "typestr": "|u1",
            "shape": ring.shape,
            "data": (ring.address + slot * ring.stride + _HEAD.size, True),  # True: read only
        }

    def __del__(self) -> None:
        self._ring.give_back(self._slot)


class Ring:
    """The daemon's side. Slot 0 is never lent for good: when a slow archive holds all others, the
    picture is copied out of it, so that reading never has to wait."""

    def __init__(self, memory: int, shape: Shape, slots: int = SLOTS) -> None:
        """Sizes the memory for `slots` pictures of (height, width, 3) uint8, for good: a child
        that goes mad cannot shrink it. Raises CameraError."""
        if (
            len(shape) != 3
            or shape[2] != 3
            or min(shape) < 1
            or np.prod(shape, dtype=float) > _MAX_BYTES
        ):
            raise CameraError(f"pictures of shape {shape} are no pictures of a camera")
        self.shape, self.stride = shape, _slot_bytes(shape)
        os.ftruncate(memory, self.stride * slots)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._map = mmap.mmap(memory, self.stride * slots)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self.address = int(self._bytes.__array_interface__["data"][0])
        # The last one given back is still in the cache. No lock: a picture's end may come anywhere.
        self._free = deque(range(slots - 1, 0, -1))
        self.copied = 0

    def lend(self) -> int:
        """A slot for the child to write into; 0 when all others are alive."""
        try:
            return self._free.pop()
        except IndexError:
            return 0

    def give_back(self, slot: int) -> None:
        """The slot may be lent again."""
        if slot:
            self._free.append(slot)

    def take(self, slot: int, number: int) -> Pixels:
        """The picture `number` in a lent slot: uint8, (height, width, 3), BGR, read only; the slot
        is free again when the last view of it has gone. Raises CameraError when it is torn."""
        start = slot * self.stride
        size = self.shape[0] * self.shape[1] * self.shape[2]
        head = _HEAD.unpack_from(self._map, start)
        tail = _TAIL.unpack_from(self._map, start + _HEAD.size + size)
        if head != (number, size) or tail != (number,):
            self.give_back(slot)
            raise CameraError(f"picture {number} is torn in shared memory (found {head}, {tail})")
        if slot == 0:
            self.copied += 1
            first = start + _HEAD.size
            return self._bytes[first : first + size].reshape(self.shape).copy()
        return np.asarray(_Picture(self, slot))


class RingWriter:
    """The child's side."""

    def __init__(self, memory: int, shape: Shape) -> None:
        """Maps the memory that the daemon has sized."""
        self._map = mmap.mmap(memory, 0)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._shape, self._stride = shape, _slot_bytes(shape)

    def target(self, slot: int) -> Pixels:
        """Where the slot's picture goes: uint8, (height, width, 3), writable."""
        first = slot * self._stride + _HEAD.size
        size = self._shape[0] * self._shape[1] * self._shape[2]
        return self._bytes[first : first + size].reshape(self._shape)

    def begin(self, slot: int, number: int) -> None:
        """Before the first pixel is written: what lies in the slot is torn from here on."""
        size = self._shape[0] * self._shape[1] * self._shape[2]
        _TAIL.pack_into(self._map, slot * self._stride + _HEAD.size + size, 0)
        _HEAD.pack_into(self._map, slot * self._stride, number, size)

    def finish(self, slot: int, number: int) -> None:
        """After the last pixel was written."""
        size = self._shape[0] * self._shape[1] * self._shape[2]
        _TAIL.pack_into(self._map, slot * self._stride + _HEAD.size + size, number)
