"""What a V4L2 driver says of the pictures that wait in its buffers: OpenCV takes a picture also
when the driver has marked it as damaged (a lost USB packet, an overrun)."""

import contextlib
import fcntl
import os
import select
import struct
from collections.abc import Callable
from pathlib import Path

# struct v4l2_buffer as this processor lays it out: index, type, bytesused, flags, field, time
# stamp, time code, sequence, memory, place, length, and two words more.
_BUFFER = struct.Struct("@IIIIIll16sIILIII0L")
_QUERYBUF = 3 << 30 | _BUFFER.size << 16 | ord("V") << 8 | 9  # _IOWR('V', 9, struct v4l2_buffer)
_CAPTURE = 1
_QUEUED, _DONE, _ERROR = 0x0002, 0x0004, 0x0040
_MOST = 32  # VIDEO_MAX_FRAME
_WAIT_MS = 10_000  # as long as OpenCV itself waits

Ioctl = Callable[[int, int, bytes], bytes]


def opened(device: Path) -> set[int]:
    """This process's descriptors of a device."""
    number, found = device.stat().st_rdev, set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            if os.fstat(int(entry.name)).st_rdev == number:
                found.add(int(entry.name))
    return found


class Marks:
    """Looks at the buffers of one descriptor, which OpenCV holds and reads."""

    def __init__(self, file: int, ioctl: Ioctl = fcntl.ioctl) -> None:
        """`ioctl` exists so that tests can stand in for a driver."""
        self._file, self._ioctl = file, ioctl

    def next_is_damaged(self) -> bool:
        """Waits until a picture is there, or the driver says that none will come; whether the
        picture that is read next is marked as damaged.

        Only while the camera runs. OpenCV keeps the buffer that it read last until it reads again:
        a driver that has but this one cannot be asked, and nothing is waited for.
        """
        if not any(flags & (_QUEUED | _DONE) for flags, _ in self._buffers()):
            return False
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        poll.poll(_WAIT_MS)  # what goes wrong here, OpenCV's read will say
        waiting = [(sequence, flags) for flags, sequence in self._buffers() if flags & _DONE]
        # The driver hands out buffers in the order in which it filled them. The sequence may wrap
        # after 2^32 pictures, four years at 30 a second: one picture is then looked at wrongly.
        return bool(waiting) and bool(min(waiting)[1] & _ERROR)

    def _buffers(self) -> list[tuple[int, int]]:
        """Flags and sequence of each buffer."""
        found = []
        for index in range(_MOST):
            question = bytearray(_BUFFER.size)
            struct.pack_into("@II", question, 0, index, _CAPTURE)
            try:
                answer = _BUFFER.unpack(self._ioctl(self._file, _QUERYBUF, bytes(question)))
            except OSError:  # EINVAL after the last one; ENODEV when it is unplugged
                break
            found.append((answer[3], answer[8]))
        return found
