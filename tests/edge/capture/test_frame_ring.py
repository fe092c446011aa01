"""The frame ring, with both ends in one process so that each order can be tested."""

import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest

from edge.capture.isolation.frame_ring import SLOTS, FrameRing, FrameRingWriter, Shape, new_memory
from edge.core.errors import CameraError
from edge.core.jpeg import JPEGDecoding

SHAPE: Shape = (48, 64, 3)


@pytest.fixture
def memory() -> Iterator[int]:
    """Empty memory without a name."""
    file = new_memory("top")
    yield file
    os.close(file)


def test_torn_picture_is_refused(memory: int) -> None:
    """An unfinished picture, another number, and a slot that is being written again are torn."""
    ring, writer = FrameRing(memory, SHAPE), FrameRingWriter(memory, SHAPE)
    slot = ring.lend()
    with pytest.raises(CameraError, match="torn"):
        ring.take(slot, 1)
    slot = ring.lend()
    writer.begin(slot)
    with pytest.raises(CameraError, match="torn"):
        ring.take(slot, 1)
    slot = ring.lend()
    writer.begin(slot)
    writer.put(slot, 1, writer.target(slot))
    with pytest.raises(CameraError, match="torn"):
        ring.take(slot, 2)
    slot = ring.lend()
    writer.begin(slot)
    writer.put(slot, 3, writer.target(slot))
    pixels, jpeg = ring.take(slot, 3)
    assert (pixels.shape, bytes(jpeg)) == (SHAPE, b"")


def test_a_jpeg_keeps_its_slot_too(memory: int) -> None:
    """A view of the JPEG keeps its bytes after the pixels are gone, and is read only."""
    ring, writer = FrameRing(memory, SHAPE, slots=2), FrameRingWriter(memory, SHAPE)
    small = np.zeros((SHAPE[0] // 2, SHAPE[1] // 2, 3), np.uint8)
    slot = ring.lend()
    writer.begin(slot)
    writer.put(slot, 1, small, b"as it came")
    pixels, jpeg = ring.take(slot, 1, JPEGDecoding(2), jpeg=10)
    assert (bytes(jpeg), jpeg.readonly, pixels.shape) == (b"as it came", True, small.shape)
    del pixels
    assert ring.lend() == 0
    writer.begin(0)
    writer.put(0, 2, small, b"copied out")
    copied = ring.take(0, 2, JPEGDecoding(2), jpeg=10)[1]
    assert (bytes(copied), copied.readonly) == (b"copied out", True)
    del jpeg
    assert ring.lend() == slot


def test_slot_is_free_when_its_picture_is_gone(memory: int) -> None:
    """A slot is lent to one picture at a time; the reserve only when no other is free."""
    ring, writer = FrameRing(memory, SHAPE), FrameRingWriter(memory, SHAPE)
    held = []
    for number in range(1, SLOTS):
        slot = ring.lend()
        writer.begin(slot)
        writer.target(slot)[:] = number
        writer.put(slot, number, writer.target(slot))
        held.append(ring.take(slot, number)[0])
    assert ring.lend() == 0
    for number in (SLOTS, SLOTS + 1):  # copied out of the reserve, so each keeps its pixels
        writer.begin(0)
        writer.target(0)[:] = number
        writer.put(0, number, writer.target(0))
        held.append(ring.take(0, number)[0])
    assert ring.copied == 2
    assert [int(pixels[7, 7, 1]) for pixels in held] == list(range(1, SLOTS + 2))
    del held[2]
    assert ring.lend() > 0
    assert ring.lend() == 0


def test_a_child_cannot_shrink_the_memory(memory: int) -> None:
    """The size of the memory is sealed: a shrunk file under a mapping would end the daemon."""
    FrameRing(memory, SHAPE)
    with pytest.raises(PermissionError):
        os.ftruncate(memory, 0)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 5, 4), (100_000, 100_000, 3), (-1, -1, 3)])
def test_impossible_shape_is_refused(memory: int, shape: Shape) -> None:
    """The shape that a child reports is checked."""
    with pytest.raises(CameraError, match="are no pictures of a camera"):
        FrameRing(memory, shape)


def test_slots_lie_apart(memory: int) -> None:
    """Writing all of one slot changes no other."""
    ring, writer = FrameRing(memory, SHAPE), FrameRingWriter(memory, SHAPE)
    for slot in range(SLOTS):
        writer.target(slot)[:] = 7
        writer.begin(slot)
        writer.put(slot, slot + 1, writer.target(slot))
    whole = np.frombuffer(mmap.mmap(memory, 0), np.uint8)
    before = whole.copy()
    writer.target(2)[:] = 9
    changed = np.flatnonzero(before != whole)
    assert changed.size == np.prod(SHAPE)
    assert np.ptp(changed) == changed.size - 1
    assert ring.shape == SHAPE


def test_a_reduced_picture_lies_before_its_jpeg(memory: int) -> None:
    """Both are read as they were written, from a slot and from the reserve. A missing part of
    either is noticed."""
    shape = 16, 24, 3
    ring, writer = FrameRing(memory, shape), FrameRingWriter(memory, shape)
    small = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    jpeg = bytes(range(200)) * 5
    for slot in (1, 0):
        writer.begin(slot)
        writer.put(slot, 7, small, jpeg)
        pixels, evidence = ring.take(slot, 7, JPEGDecoding(4), jpeg=len(jpeg))
        assert np.array_equal(pixels, small)
        assert evidence == jpeg
        for reduced, length in ((4, 0), (4, len(jpeg) - 1), (2, 20), (1, 0)):
            with pytest.raises(CameraError, match="torn"):
                ring.take(slot, 7, JPEGDecoding(reduced), length)


@pytest.mark.parametrize("length", [-1, 2 * 16 * 24 * 3 - 4 * 6 * 3 + 1, 1 << 40])
def test_an_impossible_jpeg_length_is_refused(memory: int, length: int) -> None:
    """The JPEG length that a child reports is checked."""
    shape = 16, 24, 3
    ring, writer = FrameRing(memory, shape), FrameRingWriter(memory, shape)
    with pytest.raises(CameraError, match="JPEG of"):
        ring.take(1, 1, JPEGDecoding(4), length)
    assert not writer.has_room(np.zeros((4, 6, 3), np.uint8), bytes(2 * 16 * 24 * 3))
