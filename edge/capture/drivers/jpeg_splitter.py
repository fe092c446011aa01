"""Cuts an MJPEG stream into JPEGs, by the structure of the JPEGs themselves.

Cameras send boundaries other than they announce, wrong lengths or none, and line ends of all kinds.
So a part's Content-Length is only believed until one was wrong, and a boundary counts only
before a picture. A damaged or truncated JPEG is handed on: the decoder reports the damage.
"""

import re
from dataclasses import dataclass

MAX_BYTES = 32_000_000
_MAX_HEAD = 16_384  # bytes before a picture that are kept, to find its headers
_MIN_DELIMITER = 6  # a shorter one occurs in pictures by chance

_SOI, _EOI = b"\xff\xd8\xff", b"\xff\xd9"
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_DELIMITER_LINE = re.compile(rb"\s{0,8}--[^\r\n]{1,200}\r?\n")
_HEAD_DELIMITER = re.compile(rb"(?m)^(--[^\r\n]{1,200}?)[ \t]*\r?$")
_CONTENT_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$")
_TIMESTAMP = re.compile(rb"(?im)^x-timestamp[ \t]*:[ \t]*(\d{1,12}\.\d{1,9})[ \t]*\r?$")
# tables, comments, application data, and the next scan of a progressive JPEG
_SEGMENTS = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})


class NoPictureError(Exception):
    """The stream holds no JPEG for too long."""


@dataclass(frozen=True, slots=True)
class Part:
    """One JPEG, whole or damaged.

    start  position of its first byte in the stream
    stamp  the camera's time of the picture (X-Timestamp), seconds; None without one
    """

    data: bytearray
    start: int
    stamp: float | None


class JPEGSplitter:
    """`feed` bytes of the stream's body, and take the parts that are complete."""

    def __init__(self, boundary: str | None) -> None:
        """`boundary`: as the Content-Type header names it; None without one."""
        self._declared = None if boundary is None else boundary.strip().strip('"').encode("latin-1")
        self._notes: list[str] = []
        self._noted: set[str] = set()
        self._buffer = bytearray()
        self._offset = 0  # position of the buffer's first byte in the stream
        self._fed = 0  # where the newest bytes begin
        self._skipped = 0  # bytes since the last picture
        self._searched = 0  # of the buffer, without a picture's start
        self._in_picture = self._in_scan = False
        self._at = 0  # the walk through the picture
        self._end: int | None = None  # where the walk has ended
        self._length: int | None = None  # as the part's header says
        self._surplus = 0  # bytes behind the picture that belong to its part
        self._trusts_lengths = True
        self._delimiter: bytes | None = None
        self._stamp: float | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes of the stream."""
        self._fed = max(0, len(self._buffer) - 2)
        self._buffer += data

    def take(self) -> Part | None:
        """The next JPEG; None when it needs more bytes. Raises NoPictureError."""
        if not self._in_picture and not self._find_start():
            return None
        end = self._find_end()
        if end is None:
            if len(self._buffer) > MAX_BYTES:
                raise NoPictureError
            return None
        part = Part(self._buffer, self._offset, self._stamp)
        taken = end + self._surplus
        self._buffer = self._buffer[taken:]  # the short rest is copied, not the picture
        self._offset += taken
        del part.data[end:]
        self._in_picture, self._skipped, self._searched = False, 0, 0
        return part

    def notes(self) -> list[str]:
        """Faults of the stream since the last call; each only once."""
        notes, self._notes = self._notes, []
        return notes

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._notes.append(text)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count

    def _find_start(self) -> bool:
        buffer = self._buffer
        while (at := buffer.find(_SOI, self._searched)) >= 0:
            head = bytes(buffer[:at])
            if self._delimiter is None or self._delimiter in head:
                self._read_head(head)
                self._drop(at)
                self._in_picture, self._in_scan, self._at = True, False, 2
                self._end, self._surplus = None, 0
                return True
            self._searched = at + len(_SOI)  # a preview may stand in the bytes after a picture
        self._searched = max(0, len(buffer) - 2)
        if (surplus := len(buffer) - _MAX_HEAD) > 0:
            self._drop(surplus)
            self._skipped += surplus
            self._searched = max(0, self._searched - surplus)
        if self._skipped > MAX_BYTES:
            raise NoPictureError
        return False

    def _read_head(self, head: bytes) -> None:
        lines = _HEAD_DELIMITER.findall(head)
        if lines:
            self._check_delimiter(lines[-1])
            head = head[head.rfind(lines[-1]) :]
        lengths = _CONTENT_LENGTH.findall(head)
        self._length = None
        if lengths and self._trusts_lengths:
            text = lengths[-1]
            if text.isdigit() and 0 < len(text) < 10 and 4 <= int(text) <= MAX_BYTES:
                self._length = int(text)
            else:
                self._distrust("a Content-Length that no picture has")
        stamps = _TIMESTAMP.findall(head)
        self._stamp = float(stamps[-1]) if stamps else None

    def _check_delimiter(self, line: bytes) -> None:
        if self._delimiter is None:
            if self._declared is None:
                self._note("its Content-Type names no boundary")
            elif line != b"--" + self._declared:
                self._note("its boundary lines are not those that its Content-Type names")
        self._delimiter = line if len(line) >= _MIN_DELIMITER else None

    def _distrust(self, what: str) -> None:
        self._length, self._trusts_lengths = None, False
        self._note(f"{what}; its lengths are ignored from now on")

    def _find_end(self) -> int | None:
        """The end of the picture in the buffer; None when more bytes are needed."""
        length, buffer = self._length, self._buffer
        if length is not None and len(buffer) >= length and buffer[length - 2 : length] == _EOI:
            return length
        if self._end is None:
            arrives = length is not None and len(buffer) < length
            if arrives and buffer.rfind(b"\n--", self._fed) < 0:
                return None  # nothing contradicts the length
            self._end = self._walk()
        if length is None:
            return self._end
        return self._compare(length, self._end)

    def _compare(self, length: int, end: int | None) -> int | None:
        """The end of the picture, by its length and by its structure (None: not there yet)."""
        have = len(self._buffer)
        if end is not None and end < length:
            line_end = have >= length and not self._buffer[end:length].strip()
            if line_end:
                self._note("its Content-Length counts the line end behind the picture")
            elif self._next_part_at(end):
                self._distrust("a Content-Length is longer than its picture")
                return end
            if have < length:
                return None
            self._surplus = length - end  # some cameras add padding or data of their own
            return end
        if have < length + 4:
            return None
        if self._next_part_at(length):
            return length  # truncated or damaged
        self._distrust("a Content-Length is shorter than its picture")
        return end

    def _next_part_at(self, at: int) -> bool:
        found = self._buffer[at : at + 256]
        if self._delimiter is None and found.startswith(_SOI):
            return True
        return _DELIMITER_LINE.match(found) is not None

    def _walk(self) -> int | None:
        """Follows the JPEG's markers. Its end, or the place of its damage; None: more is needed."""
        while (step := self._scan() if self._in_scan else self._segment()) is not None:
            if step >= 0:
                return step
        return None

    def _segment(self) -> int | None:
        """One marker before or between scans. The picture's end; -1: go on; None: more needed."""
        buffer, at = self._buffer, self._at
        while buffer[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        self._at = at
        if len(buffer) < at + 2:
            return None
        marker = buffer[at + 1]
        if buffer[at] != 0xFF or marker in (0x00, 0xD8):
            return at  # damaged
        if marker == 0xD9:
            return at + 2
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            self._at = at + 2
            return -1
        if len(buffer) < at + 4:
            return None
        following = at + 2 + int.from_bytes(buffer[at + 2 : at + 4], "big")
        if (cut := self._delimiter_in(at, following)) is not None:
            return cut
        if len(buffer) < following:
            return None
        self._at, self._in_scan = following, marker == 0xDA
        return -1

    def _scan(self) -> int | None:
        """Up to the next marker in a scan. As `_segment`."""
        buffer, at = self._buffer, self._at
        found = _MARKER_IN_SCAN.search(buffer, at)
        if (cut := self._delimiter_in(at, found.start() if found else len(buffer))) is not None:
            return cut
        if found is None:
            overlap = 1 + len(self._delimiter or b"")
            self._at = max(at, len(buffer) - overlap)
            return None
        place, marker = found.start(), buffer[found.start() + 1]
        self._at = found.end()
        if marker == 0xD9:
            return found.end()
        if marker == 0xD8:
            if len(buffer) <= found.end():
                self._at = place
                return None
            return place if buffer[found.end()] == 0xFF else -1
        if marker in _SEGMENTS:
            self._at, self._in_scan = place, False
        return -1  # damage, which the decoder reports

    def _delimiter_in(self, start: int, end: int) -> int | None:
        if self._delimiter is None:
            return None
        at = self._buffer.find(b"\n" + self._delimiter, start, end)
        return None if at < 0 else at
