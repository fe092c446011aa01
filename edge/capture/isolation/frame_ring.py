"""The frame ring: shared memory with slots for frames.

The camera process writes a frame into a slot, and the daemon judges it there without a copy. A
slot belongs to one process at a time. The daemon lends it with a request, and the camera process
returns it with the answer. The daemon does not lend a slot while an array of its frame exists.
Behind the frame of a JPEG camera lies the JPEG itself, as evidence. The memory has no name, so the
kernel frees it with the last process that holds it, however that process ends.
"""

import fcntl
import math
import mmap
import os
import struct
from collections import deque

import numpy as np

from edge.capture.camera import Pixels
from edge.core.errors import CameraError
from edge.core.jpeg import WHOLE, JPEGDecoding

SLOTS = 6
_HEAD = struct.Struct("<QQ")  # number of the frame, bytes
_TAIL = struct.Struct("<Q")  # the number again; both are checked, so a torn frame is noticed
_PAGE = 4096
_MAX_BYTES = 192_000_000  # of one frame; edge.core.image.MAX_PIXELS times 3

Shape = tuple[int, int, int]


def new_memory(name: str) -> int:
    """A file descriptor of empty memory without a path; the caller closes it."""
    return os.memfd_create(f"camera-{name}"[:200], os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _room(shape: Shape) -> int:
    """Bytes of a slot for a frame and its JPEG together: twice those of a whole frame. Memory that
    no JPEG reaches is never allocated."""
    return 2 * math.prod(shape)


def _slot_bytes(shape: Shape) -> int:
    size = _HEAD.size + _room(shape) + _TAIL.size
    return -(-size // _PAGE) * _PAGE


class _Picture:
    """Owner of a slot while its frame is in use.

    Each array of the frame refers to it, and its destructor frees the slot.
    """

    def __init__(self, ring: "FrameRing", slot: int, size: int) -> None:
        self._ring, self._slot = ring, slot
        self.__array_interface__: dict[str, object] = {
            "version": 3,
            "typestr": "|u1",
            "shape": (size,),
            "data": (ring.address + slot * ring.stride + _HEAD.size, True),  # True: read only
        }

    def __del__(self) -> None:
        self._ring.give_back(self._slot)


class FrameRing:
    """The daemon's side.

    Slot 0 is the reserve while all others are in use, as with a slow archive: its frame is copied,
    so that reading never waits.
    """

    def __init__(self, memory: int, shape: Shape, slots: int = SLOTS) -> None:
        """Sizes and seals the memory for frames of `shape`, (height, width, 3) uint8.

        A faulty camera process cannot shrink sealed memory. Raises CameraError.
        """
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
        # Last in, first out: its memory is still in the cache. No lock: a destructor frees slots
        # on any thread, also while this thread holds one.
        self._free = deque(range(slots - 1, 0, -1))
        self.copied = 0

    def lend(self) -> int:
        """A slot that the camera process may write into; 0 when all others are in use."""
        try:
            return self._free.pop()
        except IndexError:
            return 0

    def give_back(self, slot: int) -> None:
        """The slot may be lent again."""
        if slot:
            self._free.append(slot)

    def take(
        self, slot: int, number: int, how: JPEGDecoding = WHOLE, jpeg: int = 0
    ) -> tuple[Pixels, memoryview]:
        """Frame `number` in a lent slot and its JPEG, both read only.

        how   how the frame was decoded
        jpeg  bytes of the JPEG behind the frame; 0 without one

        The frame is uint8, (height, width, 3), BGR, or grey, (height, width, 1). The slot becomes
        free with the last view of either. Raises CameraError when the frame is torn.
        """
        height, width = (-(-side // how.reduction) for side in self.shape[:2])
        shape = height, width, 1 if how.luma else 3
        start, size = slot * self.stride, math.prod(shape)
        whole = size + jpeg
        if jpeg < 0 or whole > _room(self.shape):
            self.give_back(slot)
            raise CameraError(f"picture {number} claims a JPEG of {jpeg} bytes")
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


class FrameRingWriter:
    """The camera process's side."""

    def __init__(self, memory: int, shape: Shape) -> None:
        """Maps the memory that the daemon has sized."""
        self._map = mmap.mmap(memory, 0)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._shape, self._stride = shape, _slot_bytes(shape)

    def target(self, slot: int) -> Pixels:
        """The slot's memory for a whole frame: uint8, (height, width, 3), writable."""
        return self._pixels(slot, self._shape)

    def has_room(self, pixels: Pixels, jpeg: bytes | bytearray | memoryview) -> bool:
        """Whether both fit into a slot."""
        return pixels.size + len(jpeg) <= _room(self._shape)

    def begin(self, slot: int) -> None:
        """Called before the first pixel is written: marks the frame in the slot as torn."""
        _HEAD.pack_into(self._map, slot * self._stride, 0, 0)

    def put(
        self, slot: int, number: int, pixels: Pixels, jpeg: bytes | bytearray | memoryview = b""
    ) -> None:
        """Writes the frame, unless it lies there already, and its JPEG behind it.

        The head comes last: until then the frame counts as torn.
        """
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
