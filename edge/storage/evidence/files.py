"""The evidence's files: how they are written and deleted, so that no kill leaves half of a record.

Ours are files with our names (names.py) in day folders, and nothing else. No link is followed.

    <day>[.<number>]/.order   an integer; it rises with each new folder
    <day>[.<number>]/…        records and pictures

`.order` says which folder is older: the names are by the clock, which may start at 1970.

The record is written first and the verdict's own picture last. They are deleted the other way
round. So a record without its picture is an unfinished write or delete, and `swept` removes its
rest. A picture without a record is one of an earlier version.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.storage.evidence.names import (
    PICTURES,
    RECORD,
    EvidenceName,
    day_of,
    is_unfinished,
    number_of,
    read_name,
)

_ORDER = ".order"
_BLOCK = 4096

Age = tuple[int, str, int]  # sorts folders from the oldest to the newest


def age_of(path: Path) -> Age:
    """The place of a day folder in the order."""
    order = 0
    with contextlib.suppress(OSError, ValueError), _opened(path) as folder:
        file = os.open(_ORDER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            order = int(os.read(file, 32))
        finally:
            os.close(file)
    return order, day_of(path.name) or "", number_of(path.name)


def day_folders(archive: Path) -> list[str]:
    """Names of the day folders; none when the archive cannot be read."""
    with contextlib.suppress(OSError), os.scandir(archive) as entries:
        return [e.name for e in entries if day_of(e.name) and e.is_dir(follow_symlinks=False)]
    return []


def listed(folder: Path) -> Iterator[tuple[EvidenceName, os.DirEntry[str]]]:
    """Our files in a day folder, one by one; none when it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = read_name(entry.name)
            if name is not None and entry.is_file(follow_symlinks=False):
                yield name, entry


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


def write_evidence(
    folder: Path,
    record: tuple[str, bytes],
    pictures: Sequence[tuple[str, bytes]],
    *,
    flush_folder: bool = True,
) -> None:
    """Writes a record and its pictures, names with contents; the verdict's own picture comes first
    in `pictures` and last on the disk. All are flushed before the first name appears. Raises
    OSError, and then leaves nothing.

    flush_folder: else the names reach the disk some seconds later.
    """
    files = [record, *reversed(pictures)]
    with _opened(folder) as opened:
        try:
            for name, data in files:
                _write(opened, f".{name}.part", data)
            for name, _ in files:
                os.rename(f".{name}.part", name, src_dir_fd=opened, dst_dir_fd=opened)
        except OSError:
            for name, _ in reversed(files):
                for left in (name, f".{name}.part"):
                    with contextlib.suppress(OSError):
                        os.unlink(left, dir_fd=opened)
            raise
        if flush_folder:
            os.fsync(opened)


def delete_evidence(folder: Path, stem: str) -> int:
    """Deletes all files of a verdict: its picture first, its record last. Returns their bytes on
    disk; 0: there were none. Raises OSError."""
    freed = 0
    with contextlib.suppress(FileNotFoundError), _opened(folder) as opened:
        freed += sum(_unlink(opened, f"{stem}.{suffix}") for suffix in PICTURES)
        number = 2
        while more := sum(_unlink(opened, f"{stem}.{number}.{suffix}") for suffix in PICTURES):
            freed += more
            number += 1
        freed += _unlink(opened, f"{stem}.{RECORD}")
    return freed


def swept(folder: Path) -> Iterator[tuple[EvidenceName, os.DirEntry[str]]]:
    """As `listed`, and deletes the files that a killed process began to write or to delete.
    Raises OSError."""
    with (
        contextlib.suppress(FileNotFoundError),
        _opened(folder) as opened,
        os.scandir(opened) as entries,
    ):
        for entry in entries:
            if is_unfinished(entry.name):
                _unlink(opened, entry.name)
            name = read_name(entry.name)
            if name is None or not entry.is_file(follow_symlinks=False):
                continue
            if name.is_picture or _has_picture(opened, name.stem):
                yield name, entry
            else:
                _unlink(opened, entry.name)


def remove_folder(folder: Path) -> None:
    """Removes a day folder, unless something of others is in it."""
    with contextlib.suppress(OSError):
        with _opened(folder) as opened:
            if os.listdir(opened) == [_ORDER]:  # noqa: PTH208
                os.unlink(_ORDER, dir_fd=opened)
        folder.rmdir()


def on_disk(size: int) -> int:
    """Bytes on disk of a file of `size` bytes: it takes whole blocks."""
    return -(-size // _BLOCK) * _BLOCK


def _unlink(folder: int, name: str) -> int:
    """Deletes a regular file. Returns its bytes on disk; 0: there is none. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return 0
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return 0
    return max(_BLOCK, on_disk(status.st_size))


def _has_picture(folder: int, stem: str) -> bool:
    for suffix in PICTURES:
        with contextlib.suppress(FileNotFoundError):
            os.stat(f"{stem}.{suffix}", dir_fd=folder, follow_symlinks=False)
            return True
    return False


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
