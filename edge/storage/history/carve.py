"""Reads rows of tables out of the pages of a damaged SQLite file, without its tree.

SQLite's file format, sections 1.5 and 1.6. A verdict has a checksum of its own, so a row that was
read wrongly is noticed by whoever restores it.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.storage.history.schema import PAGE
from edge.storage.outbox.sqlite import wal_of

_LEAF = 0x0D  # the type of a page with rows
_LOCAL = PAGE - 35  # bytes of a row that stand in its page at most
_LEAST_LOCAL = (PAGE - 12) * 32 // 255 - 23
_LONGEST = 64 * 1024  # bytes of a row
_LOG_HEAD, _FRAME_HEAD = 32, 24
_INTEGERS = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # bytes by serial type

Row = tuple[int, Sequence[Any]]


def rows(path: Path, columns: int) -> Iterator[list[Row]]:
    """The rows with this number of columns, page by page, of the file and its log: row id and
    values. The page of a deleted row may give it as well."""
    for file, head, step in ((path, 0, PAGE), (wal_of(path), _LOG_HEAD + _FRAME_HEAD, 0)):
        try:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            for at in range(head, os.fstat(fd).st_size, step or PAGE + _FRAME_HEAD):
                yield [one for one in _rows_of(fd, _read(fd, at), at) if len(one[1]) == columns]
        finally:
            os.close(fd)


def _read(fd: int, at: int) -> bytes:
    """A page; empty when the disk does not give it."""
    try:
        page = os.pread(fd, PAGE, at)
    except (OSError, ValueError):
        return b""
    return page if len(page) == PAGE else b""


def _rows_of(fd: int, page: bytes, at: int) -> Iterator[Row]:
    head = 100 if at == 0 else 0
    if not page or page[head] != _LEAF:
        return
    for number in range(min(int.from_bytes(page[head + 3 : head + 5], "big"), PAGE // 4)):
        pointer = head + 8 + 2 * number
        try:
            yield _row(fd, page, int.from_bytes(page[pointer : pointer + 2], "big"))
        except (IndexError, ValueError):
            continue


def _row(fd: int, page: bytes, at: int) -> Row:
    """Raises IndexError and ValueError for bytes that are no row."""
    size, at = _varint(page, at)
    row_id, at = _varint(page, at)
    if size > _LONGEST:
        raise ValueError("too long")
    if size <= _LOCAL:
        return row_id, _values(page[at : at + size])
    local = _LEAST_LOCAL + (size - _LEAST_LOCAL) % (PAGE - 4)
    local = local if local <= _LOCAL else _LEAST_LOCAL
    data, at = page[at : at + local], at + local
    following = int.from_bytes(page[at : at + 4], "big")
    while len(data) < size and following:
        more = _read(fd, (following - 1) * PAGE)
        if not more:
            raise ValueError("its next page cannot be read")
        data, following = data + more[4:], int.from_bytes(more[:4], "big")
    return row_id, _values(data[:size])


def _values(record: bytes) -> list[Any]:
    end, at = _varint(record, 0)
    kinds = []
    while at < end:
        kind, at = _varint(record, at)
        kinds.append(kind)
    values: list[Any] = []
    for kind in kinds:
        size = _INTEGERS.get(kind, 8 if kind == 7 else max(0, kind - 12) // 2)
        data = record[at : at + size]
        if len(data) != size or kind in (10, 11):
            raise ValueError("is cut")
        at += size
        values.append(_value(kind, data))
    return values


def _value(kind: int, data: bytes) -> Any:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind < 7:
        return int.from_bytes(data, "big", signed=True)
    if kind == 7:
        return struct.unpack(">d", data)[0]
    return data if kind % 2 == 0 else data.decode()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of SQLite's, and the place behind it."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9
