"""Picture slots in memory that two processes share: the child writes a picture, the daemon judges
it where it lies.

A JPEG camera's picture may be reduced; then the JPEG lies behind it, as evidence of what was seen.
A slot belongs to one side at a time. The daemon lends a slot, the child fills it and gives it back
with a message; nobody writes into a slot while a picture in it is alive. The memory has no name, so
the kernel frees it with the last process that holds it, however that ends.
"""

import fcntl
import math
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


def _room(shape: Shape) -> int:
    """Bytes of a slot for a picture and what it came as: those of the whole picture."""
    return shape[0] * shape[1] * shape[2]


def _slot_bytes(shape: Shape) -> int:
    size = _HEAD.size + _room(shape) + _TAIL.size
    return -(-size // _PAGE) * _PAGE


class _Picture:
    """A picture's claim on its slot: the array that shows it keeps this alive, and its end gives
    the slot back."""

    def __init__(self, ring: "Ring", slot: int, size: int) -> None:
        self._ring, self._slot = ring, slot
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "typestr": "|u1",
            "shape": (size,),
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

    def take(
        self, slot: int, number: int, reduced: int = 1, jpeg: int = 0
    ) -> tuple[Pixels, memoryview]:
        """The picture `number` in a lent slot: uint8, (height, width, 3) over `reduced`, BGR, and
        the `jpeg` bytes that lie behind it, both read only; the slot is free again when the last
        view of either has gone. Raises CameraError when it is torn."""
        shape = self.shape[0] // reduced, self.shape[1] // reduced, self.shape[2]
        start, size = slot * self.stride, shape[0] * shape[1] * shape[2]
        whole = size + jpeg
        if jpeg < 0 or whole > _room(self.shape):
            self.give_back(slot)
            raise CameraError(f"picture {number} is said to have a JPEG of {jpeg} bytes")
        head = _HEAD.unpack_from(self._map, start)
        tail = _TAIL.unpack_from(self._map, start + _HEAD.size + whole)
        if head != (number, whole) or tail != (number,):
            self.give_back(slot)
            raise CameraError(f"picture {number} is torn in shared memory (found {head}, {tail})")
        first = start + _HEAD.size
        if slot == 0:
            self.copied += 1
            both = self._bytes[first : first + whole].copy()
            both.flags.writeable = False
        else:
            both = np.asarray(_Picture(self, slot, whole))
        return both[:size].reshape(shape), both[size:].data


class RingWriter:
    """The child's side."""

    def __init__(self, memory: int, shape: Shape) -> None:
        """Maps the memory that the daemon has sized."""
        self._map = mmap.mmap(memory, 0)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._shape, self._stride = shape, _slot_bytes(shape)

    def target(self, slot: int) -> Pixels:
        """Where the slot's whole picture goes: uint8, (height, width, 3), writable."""
        return self._pixels(slot, self._shape)

    def has_room(self, pixels: Pixels, jpeg: bytes | bytearray | memoryview) -> bool:
        """Whether both fit into a slot."""
        return pixels.size + len(jpeg) <= _room(self._shape)

    def begin(self, slot: int) -> None:
        """Before the first pixel is written: what lies in the slot is torn from here on."""
        _HEAD.pack_into(self._map, slot * self._stride, 0, 0)

    def put(
        self, slot: int, number: int, pixels: Pixels, jpeg: bytes | bytearray | memoryview = b""
    ) -> None:
        """Writes the picture, unless it lies there already, and what it came as behind it."""
        start, size = slot * self._stride, pixels.size + len(jpeg)
        target = self._pixels(slot, pixels.shape)
        if not np.may_share_memory(pixels, target):
            np.copyto(target, pixels)
        first = start + _HEAD.size
        if jpeg:
            self._bytes[first + pixels.size : first + size] = np.frombuffer(jpeg, np.uint8)
        _TAIL.pack_into(self._map, first + size, number)
        _HEAD.pack_into(self._map, start, number, size)

    def _pixels(self, slot: int, shape: tuple[int, ...]) -> Pixels:
        first = slot * self._stride + _HEAD.size
        return self._bytes[first : first + math.prod(shape)].reshape(shape)
