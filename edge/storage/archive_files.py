"""The files of the archive: which are ours, and how one is written and deleted.

Ours are pictures with our names in day folders, and nothing else. No link is followed. Files:

    <day>[.<number>]/.order                       an integer; it rises with each new folder
    <day>[.<number>]/<verdict>-<camera>-<id>.jpg  a picture
    <day>[.<number>]/.<name of the picture>.part  the same while it is written

`.order` tells which folder is older: the names are by the clock, which may start at 1970.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.(\d{1,9}))?")
_ID = r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_NAME = re.compile(rf"((?:pass|review|fail|error)-.+)-{_ID}\.jpg")
_PART = re.compile(rf"\.{_NAME.pattern}\.part")
_ORDER = ".order"

Age = tuple[int, str, int]  # sorts folders from the oldest to the newest


def day_of(folder: str) -> str | None:
    """The day of a day folder's name; None: it is no such name."""
    found = _DAY.fullmatch(folder)
    return None if found is None else found[1]


def kind_of(name: str) -> str | None:
    """`<verdict>-<camera>` of a picture's name; None: it is no picture of ours."""
    found = _NAME.fullmatch(name)
    return None if found is None else found[1]


def time_of(name: str) -> int:
    """The time in a picture's id, ms by the box's clock; 0: it is no picture of ours."""
    found = _NAME.fullmatch(name)
    return 0 if found is None else int(found[2] + found[3], 16)


def age_of(path: Path) -> Age:
    """The place of a day folder in the order."""
    found = _DAY.fullmatch(path.name)
    order = 0
    with contextlib.suppress(OSError, ValueError), _opened(path) as folder:
        file = os.open(_ORDER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            order = int(os.read(file, 32))
        finally:
            os.close(file)
    return order, "" if found is None else found[1], int(found[2] or 1) if found else 0


def day_folders(archive: Path) -> list[str]:
    """Names of the day folders; none when the archive cannot be read."""
    with contextlib.suppress(OSError), os.scandir(archive) as entries:
        return [e.name for e in entries if day_of(e.name) and e.is_dir(follow_symlinks=False)]
    return []


def pictures(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Our pictures in a day folder, one by one; none when it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if kind_of(entry.name) is not None and entry.is_file(follow_symlinks=False):
                yield entry


def new_folder(archive: Path, day: str, order: int) -> str:
    """Creates a day folder with this place in the order. Returns its name. Raises OSError."""
    archive.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        name = day if number == 1 else f"{day}.{number}"
        with contextlib.suppress(FileExistsError):
            (archive / name).mkdir()
            break
        number += 1
    try:
        with _opened(archive / name) as folder:
            _write(folder, _ORDER, b"%d\n" % order)
            os.fsync(folder)
        with _opened(archive) as parent:
            os.fsync(parent)
    except OSError:
        remove_folder(archive / name)
        raise
    return name


def write_picture(folder: Path, name: str, data: bytes, *, flush_folder: bool = True) -> None:
    """Writes a picture so that neither a kill nor a power cut leaves a half one. Raises OSError.

    flush_folder: else the name reaches the disk some seconds later.
    """
    part = f".{name}.part"
    with _opened(folder) as opened:
        try:
            _write(opened, part, data)
            os.rename(part, name, src_dir_fd=opened, dst_dir_fd=opened)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=opened)
            raise
        if flush_folder:
            os.fsync(opened)


def delete(path: Path) -> int | None:
    """Deletes a picture. Returns its size; None: there is no such file. Raises OSError."""
    try:
        with _opened(path.parent) as folder:
            status = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                return None
            os.unlink(path.name, dir_fd=folder)
    except FileNotFoundError:
        return None
    return status.st_size


def delete_parts(folder: Path) -> None:
    """Deletes what a killed process began to write."""
    with contextlib.suppress(OSError), _opened(folder) as opened:
        for name in os.listdir(opened):  # noqa: PTH208
            if _PART.fullmatch(name):
                os.unlink(name, dir_fd=opened)


def remove_folder(folder: Path) -> None:
    """Removes a day folder, unless something of others is in it."""
    with contextlib.suppress(OSError):
        with _opened(folder) as opened:
            if os.listdir(opened) == [_ORDER]:  # noqa: PTH208
                os.unlink(_ORDER, dir_fd=opened)
        folder.rmdir()


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """The file descriptor of a folder. Raises OSError, also for a link in a day folder's place."""
    link = os.O_NOFOLLOW if day_of(folder.name) else 0
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | link)
    try:
        yield opened
    finally:
        os.close(opened)


def _write(folder: int, name: str, data: bytes) -> None:
    """Writes and flushes a new file."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
