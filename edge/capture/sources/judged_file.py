"""Moves a judged file into another folder. Never overwrites a file, and leaves no half one."""

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
# what kernels and file systems answer that do not know RENAME_NOREPLACE
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def move_file(path: Path, folder: Path) -> None:
    """Moves `path` into `folder`, which is created. A camera may use a name again: then the file's
    time, and a number, follow its name. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.samefile(path.parent):
        raise OSError(errno.EINVAL, "it is the folder itself under another name")
    try:
        _rename_to_free_name(path, path, folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with _copied_into(folder, path) as copy:
            _rename_to_free_name(copy, path, folder)
        path.unlink()


def _rename_to_free_name(source: Path, named: Path, folder: Path) -> None:
    time = named.stat().st_mtime_ns
    for number in count():
        more = ("", f"-{time}", f"-{time}-{number}")[min(number, 2)]
        with contextlib.suppress(FileExistsError):
            rename_new(source, folder / f"{named.stem}{more}{named.suffix}")
            return


def rename_new(source: Path, target: Path) -> None:
    """Renames a file. Raises OSError, also when the target exists."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(source), os.fsencode(target)
    if not libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE):
        return
    number = ctypes.get_errno()
    if number not in _UNKNOWN:
        raise OSError(number, os.strerror(number), str(source), None, str(target))
    # an empty file takes the name: the file system gives it to one program only
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    try:
        source.replace(target)
    except OSError:
        target.unlink()
        raise


@contextlib.contextmanager
def _copied_into(folder: Path, path: Path) -> Iterator[Path]:
    """A copy on the disk of `folder` under a temporary name, deleted unless it is renamed."""
    file, name = tempfile.mkstemp(".part", ".edge-inspect-", folder)
    try:
        with os.fdopen(file, "wb") as copy, path.open("rb") as original:
            shutil.copyfileobj(original, copy)
            copy.flush()
            os.fsync(copy.fileno())
        shutil.copystat(path, name)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
