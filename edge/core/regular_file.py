"""Reads regular files only: a pipe or a device may block or never end.

In folders that other programs write, a link may lead to any file of the box: `read_regular` follows
none. `read_named` is for a path that a person has written: there a link is meant.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 256 * 2**20  # more than the largest picture, a BMP of 64 megapixels, takes


def regular_status(path: Path | str | os.DirEntry[str]) -> os.stat_result | None:
    """Status of a regular file; None when there is none. Follows no link."""
    try:
        status = os.lstat(path)  # `Path` takes longer than the kernel
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def read_named(path: Path | str, most: int = -1) -> bytes:
    """The content of a file that a person names, or its first `most` bytes. Raises OSError, also
    for a pipe or a device, and ValueError for a path that no file can have."""
    with _named(path) as file:
        return file.read(most)


def read_at_most(path: Path | str, most: int) -> bytes:
    """As `read_named`, but a file above `most` bytes is an OSError."""
    with _named(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"{size} bytes, at most {most} are read")
        return file.read(most)


def read_regular(path: Path | str) -> bytes:
    """The content of a regular file. Raises OSError, also for a link, a pipe, a device, and a file
    above MAX_BYTES."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise OSError(errno.EINVAL, "a link or a socket, no regular file") from error
        raise
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "a folder, pipe or device, no regular file")
        if status.st_size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, more than any picture")
        data = os.read(file, status.st_size + 1)  # one byte more, to detect the end
        while len(data) <= status.st_size and (more := os.read(file, status.st_size)):
            data += more
        return data
    finally:
        os.close(file)


@contextmanager
def _named(path: Path | str) -> Iterator[BinaryIO]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(file).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "a pipe or a device, no file")
        with os.fdopen(file, "rb", closefd=False) as opened:
            yield opened
    finally:
        os.close(file)
