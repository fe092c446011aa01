"""Decodes picture files to BGR pixels, for training and for the box.

OpenCV cuts 16 bits to 8, and decodes any size that a header claims. Therefore this module reads the
header first and refuses pictures that must not be judged. JPEGs have a module of their own.
"""

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edge.core.errors import PictureError
from edge.core.jpeg import WHOLE, JPEGDecoding, decode_jpeg, read_jpeg_header, truncated
from edge.core.terms import Pixels
from edge.core.text import escape

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp")
MAX_PIXELS = 64_000_000  # 192 MB decoded: fits a Pi, and no inspection camera is larger
MAX_SIDE = 16_384

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = 100_000  # four times the chunks of 8 KB that MAX_PIXELS need
_OS2 = 12  # length of the header that OS/2 defined: sides of 16 bits, no compression
_BMP_PLAIN = (0, 3)  # not compressed; 3 has a mask for each colour


@dataclass(frozen=True, slots=True)
class Header:
    """A file's header: size in pixels, bits per channel, number of colour channels."""

    kind: str
    width: int
    height: int
    bits: int
    channels: int


def is_picture_name(path: Path | str) -> bool:
    """Whether the name belongs to a JPEG, PNG or BMP file that is not hidden. A string is a name
    without a folder."""
    name = path if isinstance(path, str) else path.name
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture file with a checked header, not yet decoded.

    - `data`: the file. It may lie in a slot of a frame ring, which is free again when the last
      memoryview of it is gone.
    - `name`: for messages only.
    """

    data: bytes | bytearray | memoryview
    name: str
    header: Header

    def copied(self) -> "EncodedPicture":
        """The same with a file in memory of its own."""
        return replace(self, data=bytes(self.data))

    def decode(self, how: JPEGDecoding = WHOLE) -> tuple[Pixels, int]:
        """Decodes the picture. Returns the pixels and the divisor of both sides.

        `how` is for JPEGs (edge/inspection/decoding.py); another format is decoded whole.

        The pixels are uint8, (height, width, 3), BGR, rotated by the EXIF orientation. Grey
        becomes three equal channels; alpha is dropped. Raises PictureError for damaged data.
        """
        if self.header.kind == "JPEG":
            return decode_jpeg(self.data, self.name, how)
        return self._decoded(), 1

    def shown(self) -> Pixels | bytes:
        """The picture for people: the JPEG, or another format's pixels. Raises PictureError."""
        return bytes(self.data) if self.header.kind == "JPEG" else self.decode()[0]

    def _decoded(self) -> Pixels:
        pixels = cv2.imdecode(np.frombuffer(self.data, np.uint8), cv2.IMREAD_COLOR)
        if pixels is not None:
            return np.asarray(pixels, dtype=np.uint8)
        if self.header.kind == "BMP" and (odd := _unread_bmp(self.data)):
            raise PictureError(f"{self.name}: {odd}; save it as PNG, or as BMP with 24 bits")
        raise PictureError(
            f"{self.name}: damaged {self.header.kind} file; take or copy the picture again"
        )


def open_picture(path: Path | str) -> EncodedPicture:
    """Reads a picture file and checks its header. Raises PictureError when the file is unreadable
    or the picture must not be judged."""
    name = escape(str(path))
    try:
        data = _read(path)
    except OSError as error:
        raise PictureError(
            f"{name}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    return examine_picture(data, name)


def _read(path: Path | str) -> bytes:
    """Reads a whole file; faster than `Path.read_bytes`, which allocates buffers first."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        wanted = os.fstat(file).st_size + 1  # one byte more, to detect the end of the file
        data = os.read(file, wanted)
        while len(data) >= wanted and (more := os.read(file, wanted)):  # it grows or is a pipe
            data += more
        return data
    finally:
        os.close(file)


def examine_picture(data: bytes | bytearray, name: str) -> EncodedPicture:
    """Checks the header of a picture in memory. Raises PictureError when the data is empty, no
    picture, truncated, too large, 16-bit or CMYK."""
    header = read_header(data, name)
    _refuse_unjudgeable(header, name)
    _refuse_truncated(header, data, name)
    return EncodedPicture(data, name, header)


def read_picture(path: Path) -> Pixels:
    """The pixels of a picture file: uint8, (height, width, 3), BGR. Raises PictureError."""
    return open_picture(path).decode()[0]


def decode_picture(data: bytes, name: str) -> Pixels:
    """The pixels of a picture in memory: uint8, (height, width, 3), BGR. `name` is for messages.
    Raises PictureError."""
    return examine_picture(data, name).decode()[0]


def read_header(data: bytes | bytearray, name: str) -> Header:
    """Reads the header of a JPEG, PNG or BMP file. Raises PictureError."""
    if not data:
        raise PictureError(f"{name}: the file is empty (0 bytes); take or copy the picture again")
    try:
        if data.startswith(_PNG):
            width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
            return Header("PNG", width, height, bits, {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}[colour])
        if data.startswith(b"\xff\xd8\xff"):
            found = read_jpeg_header(data)
            return Header("JPEG", found.width, found.height, found.bits, found.channels)
        if data.startswith(b"BM"):
            width, height, depth, _ = _bmp_layout(data)
            return Header("BMP", width, abs(height), 8, 1 if depth <= 8 else 3)
    except (struct.error, IndexError, KeyError) as error:
        raise PictureError(
            f"{name}: the picture's header is damaged; take or copy the picture again"
        ) from error
    raise PictureError(
        f"{name}: not a JPEG, PNG or BMP picture (starts with {bytes(data[:8])!r}); "
        "save it in one of these formats"
    )


def _refuse_unjudgeable(header: Header, name: str) -> None:
    width, height = header.width, header.height
    if width <= 0 or height <= 0:
        raise PictureError(f"{name}: has no pixels ({width}×{height}); take the picture again")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise PictureError(
            f"{name}: {width}×{height} pixels is too large (at most {MAX_SIDE} a side and "
            f"{MAX_PIXELS // 1_000_000} megapixels); scale it down or crop it"
        )
    if header.bits > 8:
        raise PictureError(
            f"{name}: {header.bits} bits a channel; save it with 8 bits, "
            "with the same range for training and for the line"
        )
    if header.channels > 3:
        raise PictureError(f"{name}: CMYK colours, as for print; save it as RGB or grey")


def _refuse_truncated(header: Header, data: bytes | bytearray, name: str) -> None:
    whole = {
        # anything may follow the end; the decoder notices a gap before it
        "JPEG": lambda: data.rfind(b"\xff\xd9") > 0,
        "PNG": lambda: _png_is_whole(data),
        "BMP": lambda: len(data) >= _bmp_bytes(data),
    }[header.kind]()
    if not whole:
        raise truncated(name, header.kind, len(data))


def _png_is_whole(data: bytes | bytearray) -> bool:
    """Whether all chunks are complete. OpenCV would spend seconds and gigabytes on a chunk that
    claims to be larger than the file."""
    at = len(_PNG)
    for _ in range(_PNG_CHUNKS):
        if at + 12 > len(data):
            return False
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND":
            return bool(at <= len(data))
    return False


def _bmp_layout(data: bytes | bytearray | memoryview) -> tuple[int, int, int, int]:
    """Width, height (negative from the top down), bits a pixel and compression."""
    (header,) = struct.unpack_from("<I", data, 14)
    if header == _OS2:
        width, height, _planes, depth = struct.unpack_from("<HHHH", data, 18)
        return width, height, depth, 0
    width, height, _planes, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    return width, height, depth, compression


def _bmp_bytes(data: bytes | bytearray) -> int:
    (offset,) = struct.unpack_from("<I", data, 10)
    width, height, depth, compression = _bmp_layout(data)
    if compression not in _BMP_PLAIN:
        return int(offset)
    row = (width * depth + 31) // 32 * 4
    return int(offset + row * abs(height))


def _unread_bmp(data: bytes | bytearray | memoryview) -> str | None:
    """The kind of BMP when its pixels are not compressed, so that nothing in it can be damaged."""
    _, _, depth, compression = _bmp_layout(data)
    if compression not in _BMP_PLAIN:
        return None
    masks = " and colour masks" if compression else ""
    return f"a BMP with {depth} bits a pixel{masks} is not read"
