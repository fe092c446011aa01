"""Reads files in folders that other programs write: regular files only, of a limited size.

A link may lead to any file of the box, a pipe or a device may block or never end.
"""

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 256 * 2**20  # more than the largest picture, a BMP of 64 megapixels, takes


def regular_status(path: Path | str | os.DirEntry[str]) -> os.stat_result | None:
    """Status of a regular file; None when there is none. Follows no link."""
    try:
        status = os.lstat(path)  # `Path` takes longer than the kernel
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def read_regular(path: Path | str) -> bytes:
    """The content of a regular file. Raises OSError, also for a link, a pipe, a device, and a file
    above MAX_BYTES."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise OSError(errno.EINVAL, "a link or a socket, no regular file") from error
        raise
    return _content(file, MAX_BYTES, "more than any picture")


def read_at_most(path: Path | str, most: int) -> bytes:
    """The content of a regular file that a person names, which may be a link. Raises OSError, also
    for a pipe, a device, and a file above `most` bytes."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    return _content(file, most, f"at most {most} are read")


def _content(file: int, most: int, limit: str) -> bytes:
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "a folder, pipe or device, no regular file")
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, {limit}")
        data = os.read(file, status.st_size + 1)  # one byte more, to detect the end
        while len(data) <= status.st_size and (more := os.read(file, status.st_size)):
            data += more
        return data
    finally:
        os.close(file)
