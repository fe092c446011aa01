"""Files that must be whole after a power cut: written, flushed and renamed, with their folder.

The store's folder may belong to a group whose members install versions. All that is made in it gets
the folder's group and the group's permissions, whatever the umask.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_FILE, _FOLDER, _LOCK = 0o640, 0o770, 0o660  # group: members of it install too
PART = ".part"  # of a file that is being written


def make_folder(path: Path) -> None:
    """Creates a folder, and flushes its parent. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        _share(path, _FOLDER)
        flush_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Writes and flushes a file in the place of any other, perhaps of another user. Its folder is
    not flushed. Raises OSError."""
    path.unlink(missing_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, _FILE), "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        _share(path, _FILE)
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Replaces a file in one step: after a power cut the old or the new content is there, whole.
    Raises OSError, and then the old one is."""
    part = path.with_name(f".{path.name}{PART}")
    try:
        write_new(part, data)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Removes a folder and what is in it. A link is removed, not followed. Raises OSError."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def flush_folder(path: Path) -> None:
    """Flushes the names in a folder. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether this process has the lock of a file, until the end of the block. Never waits. Raises
    OSError."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, _LOCK)
    try:
        _share(path, _LOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(file)


def _share(path: Path, mode: int) -> None:
    """Gives the file its folder's group, and then the mode. Another user's file stays as it is. The
    service may not change groups (docs/decisions/0028), and need not: its own is the folder's."""
    with contextlib.suppress(OSError):
        os.chown(path, -1, path.parent.stat().st_gid)
    with contextlib.suppress(PermissionError):
        path.chmod(mode)
