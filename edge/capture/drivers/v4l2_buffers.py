"""Reads the flags of a V4L2 driver's buffers.

OpenCV also returns pictures that the driver has flagged as damaged: a lost USB packet, an overrun.
"""

import contextlib
import fcntl
import os
import select
import struct
from collections.abc import Callable
from pathlib import Path

# struct v4l2_buffer in native layout: index, type, bytesused, flags, field, time stamp, time code,
# sequence, memory, offset, length, and two more words.
_BUFFER = struct.Struct("@IIIIIll16sIILIII0L")
_QUERYBUF = 3 << 30 | _BUFFER.size << 16 | ord("V") << 8 | 9  # _IOWR('V', 9, struct v4l2_buffer)
_CAPTURE = 1
_QUEUED, _DONE, _ERROR = 0x0002, 0x0004, 0x0040
_MAX_BUFFERS = 32  # VIDEO_MAX_FRAME
_WAIT_MS = 10_000  # OpenCV's own timeout

Ioctl = Callable[[int, int, bytes], bytes]


def open_fds(device: Path) -> set[int]:
    """The file descriptors of this process that refer to the device."""
    number, found = device.stat().st_rdev, set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing is closed by now
            if os.fstat(int(entry.name)).st_rdev == number:
                found.add(int(entry.name))
    return found


class BufferFlags:
    """The flags of the buffers of one file descriptor, which OpenCV has opened."""

    def __init__(self, file: int, ioctl: Ioctl = fcntl.ioctl) -> None:
        """Tests pass an `ioctl` that answers as a driver."""
        self._file, self._ioctl = file, ioctl

    def next_is_damaged(self) -> bool:
        """Waits for the next picture and returns whether it is flagged as damaged.

        The camera must run. OpenCV keeps its last buffer until it reads again. With a driver that
        has no other buffer, this returns at once.
        """
        if not any(flags & (_QUEUED | _DONE) for flags, _ in self._buffers()):
            return False
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        poll.poll(_WAIT_MS)  # ends on an error too, which OpenCV's read then reports
        waiting = [(sequence, flags) for flags, sequence in self._buffers() if flags & _DONE]
        # The driver returns buffers in order. The sequence wraps after 2^32 pictures, four years at
        # 30 frames/s; the flag of one picture is then wrong.
        return bool(waiting) and bool(min(waiting)[1] & _ERROR)

    def _buffers(self) -> list[tuple[int, int]]:
        """Flags and sequence of each buffer."""
        found = []
        for index in range(_MAX_BUFFERS):
            question = bytearray(_BUFFER.size)
            struct.pack_into("@II", question, 0, index, _CAPTURE)
            try:
                answer = _BUFFER.unpack(self._ioctl(self._file, _QUERYBUF, bytes(question)))
            except OSError:  # EINVAL after the last one; ENODEV when it is unplugged
                break
            found.append((answer[3], answer[8]))
        return found
