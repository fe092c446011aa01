"""Watches a folder by inotify for files that are closed after writing, or renamed into it."""

import ctypes
import logging
import os
import struct
from pathlib import Path

log = logging.getLogger(__name__)

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x8, 0x40, 0x80
_CREATE, _DELETE, _OVERFLOW = 0x100, 0x200, 0x4000
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _IGNORED = 0x400, 0x800, 0x2000, 0x8000
_ONLYDIR = 0x01000000
_BEGUN, _COMPLETE, _GONE = _CREATE | _MODIFY, _CLOSE_WRITE | _MOVED_TO, _DELETE | _MOVED_FROM
_LOST = _OVERFLOW | _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_EVENT = struct.Struct("iIII")
_BUFFER = 65_536
_MAX_EVENT = _EVENT.size + 256  # bytes of an event: a name has 255 and a zero


class FolderWatch:
    """Watches one folder without its subfolders."""

    def __init__(self, folder: Path, *, buffer_bytes: int = _BUFFER) -> None:
        """`buffer_bytes`: size of one read. Raises OSError when the kernel cannot watch."""
        self._buffer_bytes = buffer_bytes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.open: set[str] = set()  # names of files that may be incomplete
        mask = _BEGUN | _COMPLETE | _GONE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
        if self._libc.inotify_add_watch(self._file, os.fsencode(folder), mask) < 0:
            number = ctypes.get_errno()
            self.close()
            raise OSError(number, os.strerror(number))

    @classmethod
    def on(cls, folder: Path) -> "FolderWatch | None":
        """A watch; None, with a line in the log, when the kernel cannot watch the folder."""
        try:
            return cls(folder)
        except OSError as error:
            log.warning("folder: %s: cannot be watched (%s); it is scanned instead", folder, error)
            return None

    def complete(self) -> list[str] | None:
        """Names of the files that became complete since the last call, in order.

        None when events were lost, or the folder is gone: then it must be scanned.
        """
        names: list[str] = []
        missed, more = False, True
        while more and (data := self._read()):
            at, more = 0, len(data) > self._buffer_bytes - _MAX_EVENT  # full: more may wait
            while at < len(data):
                _, mask, _, length = _EVENT.unpack_from(data, at)
                raw = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                at += _EVENT.size + length
                if mask & _LOST:
                    missed = True
                elif mask & _BEGUN:
                    self.open.add(os.fsdecode(raw))
                elif raw:
                    self.open.discard(os.fsdecode(raw))
                    if mask & _COMPLETE:
                        names.append(os.fsdecode(raw))
        if missed:
            self.open.clear()
        return None if missed else names

    def fileno(self) -> int:
        """A file descriptor that is readable when events wait."""
        return self._file

    def close(self) -> None:
        """Ends the watch. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> bytes:
        try:
            return os.read(self._file, self._buffer_bytes)
        except BlockingIOError:
            return b""
