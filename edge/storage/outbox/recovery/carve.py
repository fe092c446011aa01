"""Record carving: finds verdicts in raw bytes that SQLite cannot read any more.

A verdict is a JSON text with a known beginning. It contains its own number, and SQLite has stored
its checksum right before it.
"""

import json
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from edge.core.messages import RESULT_SCHEMA
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.sqlite import wal_of

_START = f'{{"schema":"{RESULT_SCHEMA}","id":"'.encode()
# Bytes of a verdict, tried one after the other: the larger size alone would take hours.
_USUAL = 1 << 13
LONGEST_VERDICT = 1 << 20
# A file is read in pieces of this size, in bytes: it may be larger than memory.
PIECE = 8 << 20
_WAL_HEAD = struct.Struct(">8I")
_FRAME_HEAD = struct.Struct(">6I")
_DECODER = json.JSONDecoder()
_HIGHEST = 2**62
_PAGE = 4096  # bytes


def carve(raw: bytes) -> Iterator[OutboxRow]:
    """The verdicts in raw bytes, in their order there; numbers may repeat.

    A verdict with a wrong checksum is left out: a flipped bit may have changed its meaning.
    `stored_at` is 0, because it is not part of the text.
    """
    for match in re.finditer(re.escape(_START), raw):
        start = match.start()
        found = _text_at(raw, start, _USUAL) or _text_at(raw, start, LONGEST_VERDICT)
        if found is None:
            continue
        seq, encoded = found
        checksum = stored_checksum(zlib.crc32(encoded))
        intact = raw[max(0, start - len(checksum)) : start] == checksum
        if type(seq) is int and 0 < seq < _HIGHEST and intact:
            yield OutboxRow(seq, 0.0, encoded)


def carve_file(file: Path) -> Iterator[OutboxRow]:
    """The verdicts in a file of any size, as far as the disk can read it. A verdict on the border
    of two pieces is returned twice."""
    for raw in _pieces(file):
        yield from carve(raw)


def rows_behind_damage(path: Path) -> list[OutboxRow]:
    """Verdicts in SQLite's log behind the first frame with a wrong checksum. SQLite would skip them
    silently. Empty when the log is whole, or ends in an incomplete write."""
    raw = _bytes_of(wal_of(path))
    if len(raw) < _WAL_HEAD.size:
        return []
    head = _WAL_HEAD.unpack_from(raw)
    order = "<" if head[0] == 0x377F0682 else ">"
    page, salts = head[2], head[4:6]
    if head[0] not in (0x377F0682, 0x377F0683) or not 512 <= page <= 65536:
        return list(carve(raw))
    sums = _checksum(raw[:24], (0, 0), order)
    if sums != head[6:8]:
        return list(carve(raw))
    at, size = _WAL_HEAD.size, _FRAME_HEAD.size + page
    while at + size <= len(raw):
        frame = _FRAME_HEAD.unpack_from(raw, at)
        if frame[2:4] != salts:
            return []  # a frame from before the last checkpoint: the log ends here
        sums = _checksum(raw[at : at + 8], sums, order)
        sums = _checksum(raw[at + _FRAME_HEAD.size : at + size], sums, order)
        if sums != frame[4:6]:
            return list(carve(raw[at:]))
        at += size
    return []


def _text_at(raw: bytes, start: int, longest: int) -> tuple[object, bytes] | None:
    """Number and text of the verdict that begins at `start` and has at most `longest` bytes."""
    text = raw[start : start + longest].decode("utf-8", "replace")
    try:
        body, end = _DECODER.raw_decode(text)
        return body["seq"], text[:end].encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def stored_checksum(crc: int) -> bytes:
    """A checksum as SQLite stores an integer: in 0 (for 0 and 1), 1, 2, 3, 4 or 6 bytes (file
    format, section 2.1)."""
    widths = ((0, 2), (1, 1 << 7), (2, 1 << 15), (3, 1 << 23), (4, 1 << 31))
    width = next((width for width, end in widths if crc < end), 6)
    return crc.to_bytes(width, "big") if width else b""


def _checksum(data: bytes, start: tuple[int, ...], order: str) -> tuple[int, int]:
    """SQLite's checksum of its log (file format, section 4.2)."""
    one, two = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2]):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 30)
    except OSError:
        return b""


def _pieces(path: Path) -> Iterator[bytes]:
    """A file of any size in pieces. They overlap: every verdict is whole in one of them."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        size = os.fstat(file).st_size
        for at in range(0, size, PIECE):
            first = max(0, at - _PAGE)  # the checksum is before its verdict
            yield _read_at(file, first, at + PIECE + LONGEST_VERDICT - first)
    finally:
        os.close(file)


def _read_at(file: int, at: int, size: int) -> bytes:
    """Bytes of a file; zeros for pages that the disk cannot read."""
    try:
        return os.pread(file, size, at)
    except OSError:
        if size <= _PAGE:
            return bytes(size)
    pages = range(at, min(at + size, os.fstat(file).st_size), _PAGE)
    return b"".join(_read_at(file, page, min(_PAGE, at + size - page)) for page in pages)
