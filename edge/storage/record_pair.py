"""A small file with two records that are overwritten in turn.

A torn record leaves the one before. A record has a checksum and a turn; the intact one with the
higher turn counts. The kernel has a record when `write` returns, so it survives `kill -9`; `flush`
brings it to the disk.
"""

import contextlib
import json
import os
import stat
import zlib
from pathlib import Path
from typing import Any

from edge.core.regular_file import read_regular

_SLOT = 16_384  # bytes of a record


class RecordPair:
    """Not safe between threads."""

    def __init__(self, path: Path, mark: bytes, too_long: str) -> None:
        """Reads the file of the last process. Opens it for writing with the first record.

        mark: begins each record; a file without it is another program's.
        too_long: why a record may be too long, for the sentence.
        """
        self._path, self._mark, self._too_long = path, mark, too_long
        self._file: int | None = None
        found = [one for one in map(self._parsed, self._slots()) if one is not None]
        self.newest = max(found, key=lambda one: one["turn"], default=None)
        self._turn = self.newest["turn"] if self.newest else 0

    @property
    def is_open(self) -> bool:
        """Whether a record was written, and the file was not closed since."""
        return self._file is not None

    def write(self, content: dict[str, Any]) -> None:
        """Replaces the older record. Raises OSError; ValueError for a record that is too long and
        for a foreign file."""
        self._turn += 1
        record = self._record({"turn": self._turn, **content})
        if self._file is None:
            self._file = self._opened()
        os.pwrite(self._file, record, self._turn % 2 * _SLOT)

    def flush(self) -> None:
        """Returns when the last record is on the disk. Raises OSError."""
        if self._file is not None:
            os.fdatasync(self._file)  # records are overwritten in place: no metadata changes

    def close(self) -> None:
        """Flushes as far as the disk permits, and closes the file."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            os.fdatasync(self._file)
        os.close(self._file)
        self._file = None

    def _record(self, content: dict[str, Any]) -> bytes:
        text = json.dumps(content, separators=(",", ":")).encode()
        record = self._mark + b"%08x %s\n" % (zlib.crc32(text), text)
        if len(record) > _SLOT:
            raise ValueError(self._too_long)
        return record

    def _parsed(self, slot: bytes) -> dict[str, Any] | None:
        try:
            checksum, text = slot.removeprefix(self._mark).split(b"\n")[0].split(b" ", 1)
            content: dict[str, Any] = json.loads(text)
            intact = int(checksum, 16) == zlib.crc32(text)
        except ValueError:
            return None
        return content if intact else None

    def _slots(self) -> list[bytes]:
        try:
            content = read_regular(self._path)
        except OSError:
            return []
        return [content[:_SLOT], content[_SLOT:]]

    def _opened(self) -> int:
        """The file for writing. Raises OSError, also for a link, and ValueError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        start = os.pread(file, 2 * _SLOT, 0) if stat.S_ISREG(os.fstat(file).st_mode) else b"?"
        if start and self._mark not in start:
            os.close(file)
            raise ValueError("it is another program's file")
        return file
