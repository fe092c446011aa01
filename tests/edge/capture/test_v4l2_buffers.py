"""A picture that its driver flags as damaged is a fault."""

import errno
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.capture.drivers import v4l2
from edge.capture.drivers.v4l2_buffers import BufferFlags, open_fds
from edge.core.clock import StopEvent
from tests.edge.capture.conftest import FakeCapture, camera_config, noise

_QUEUED, _DONE, _ERROR = 0x0002, 0x0004, 0x0040


class Driver:
    """Answers VIDIOC_QUERYBUF for buffers of (flags, sequence), as struct v4l2_buffer on a
    64-bit or 32-bit processor."""

    def __init__(self, *buffers: tuple[int, int]) -> None:
        self.buffers = list(buffers)

    def __call__(self, _file: int, request: int, data: bytes) -> bytes:
        """As the kernel does: EINVAL past the last buffer."""
        size = struct.calcsize("l") * 2 + struct.calcsize("@IIIIIl") + 16
        assert request & 0xFF == 9
        assert request >> 16 & 0x3FFF == len(data)
        index, kind = struct.unpack_from("@II", data)
        assert kind == 1
        if index >= len(self.buffers):
            raise OSError(errno.EINVAL, "no such buffer")
        answer = bytearray(data)
        flags, sequence = self.buffers[index]
        struct.pack_into("@I", answer, 12, flags)
        struct.pack_into("@I", answer, size - struct.calcsize("l"), sequence)
        return bytes(answer)


@pytest.fixture
def ready() -> Iterator[int]:
    """A descriptor on which something waits."""
    reader, writer = os.pipe()
    os.write(writer, b"!")
    yield reader
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("buffers", "damaged"),
    [
        ([(_DONE, 7)], False),
        ([(_DONE | _ERROR, 7)], True),
        ([(_QUEUED, 0), (_DONE | _ERROR, 7)], True),
        ([(_DONE | _ERROR, 8), (_DONE, 7)], False),  # the older one is read first
        ([(_DONE, 8), (_DONE | _ERROR, 7)], True),
        ([(_ERROR, 3), (_DONE, 7)], False),  # read already
        ([(_QUEUED, 0)], False),
        ([], False),  # a driver without buffer flags
    ],
)
def test_the_flag_of_the_next_picture(
    ready: int, buffers: list[tuple[int, int]], damaged: bool
) -> None:
    """The flag of the buffer that is read next counts."""
    assert BufferFlags(ready, Driver(*buffers)).next_is_damaged() is damaged


def test_no_wait_when_the_driver_holds_no_buffer() -> None:
    """A driver with one buffer, which OpenCV keeps, fills none before the next read."""
    reader, writer = os.pipe()  # never ready
    began = time.monotonic()
    assert not BufferFlags(reader, Driver((0, 7))).next_is_damaged()
    assert time.monotonic() - began < 5
    os.close(reader)
    os.close(writer)


class Device(FakeCapture):
    """Holds a descriptor of its device, as OpenCV does."""

    def __call__(self, *arguments: object) -> Any:
        """Opens it."""
        self.file = os.open(str(arguments[0]), os.O_RDWR)
        super().__call__(*arguments)
        return self

    def release(self) -> None:
        """Closes it."""
        os.close(self.file)
        super().release()


def test_a_damaged_picture_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV returns a picture that its driver flags as damaged: it is a fault. The next good
    picture is read."""
    driver, files = Driver((_DONE, 1)), []

    def flags_of(file: int) -> BufferFlags:
        files.append(file)
        return BufferFlags(file, driver)

    monkeypatch.setattr(v4l2, "BufferFlags", flags_of)
    capture = Device([(True, noise(n)) for n in range(3)])
    camera = v4l2.V4L2Camera(camera_config("v4l2:/dev/null"), capture)
    assert files == [capture.file]
    looks = []
    for flags in (_DONE, _DONE | _ERROR, _DONE):
        driver.buffers = [(_QUEUED, 0), (flags, 2)]
        looks.append(camera.read(StopEvent()))
    camera.close()
    assert [look is not None and look.pixels is not None for look in looks] == [True, False, True]
    assert looks[1] is not None
    assert "marks a picture as damaged" in str(looks[1].fault)


def test_only_the_descriptors_of_the_device_are_found() -> None:
    """Other devices' descriptors are not."""
    before = open_fds(Path("/dev/null"))
    null, zero = os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDWR)
    try:
        assert open_fds(Path("/dev/null")) - before == {null}
    finally:
        os.close(null)
        os.close(zero)
