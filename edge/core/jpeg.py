"""Decodes JPEGs, and refuses those that are damaged inside.

libjpeg only warns of most damage, fills the rest of the picture with grey and goes on. OpenCV hides
these warnings, so a defect can disappear behind the grey. simplejpeg is libjpeg-turbo too, with the
same pixels, and makes an error of each warning. Why: docs/decisions/0044-damaged-jpegs.md
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.core.errors import PictureError
from edge.core.terms import Pixels

try:
    import simplejpeg
except (
    ImportError
):  # 32-bit ARM has no wheel of it: JPEGs are refused there, other pictures are not
    simplejpeg = None

_MAX_SCANS = 200  # progressive encoders make about ten; each scan costs a pass over the picture
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # none of stuffing, fill bytes and restarts
_ALONE = frozenset({0x01, 0xD8})  # markers without a length: TEM, SOI
_APP1, _SOS, _EOI = 0xE1, 0xDA, 0xD9
_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_TABLES = _SOF | {0xC4, 0xDD}  # their last byte may be zero
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_EXIF = b"Exif\0\0"
_ORIENTATION = 0x112

Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class JPEGDecoding:
    """How much of a JPEG is decoded.

    - `reduction`: the divisor of both sides: 1, 2, 4 or 8.
    - `luma`: grey levels only.
    """

    reduction: int = 1
    luma: bool = False


WHOLE = JPEGDecoding()


@dataclass(frozen=True, slots=True)
class JPEGHeader:
    """The segments before the first scan.

    - `bits`: of a channel.
    - `orientation`: by EXIF, 1 to 8; 1 is upright.
    - `several_scans`: whether the pixels need more than the first scan.
    """

    width: int
    height: int
    bits: int
    channels: int
    orientation: int
    several_scans: bool


def read_jpeg_header(data: Data) -> JPEGHeader:
    """The header of a file that starts like a JPEG. Raises IndexError when it is damaged."""
    frame, marker, orientation, in_scan = b"", 0, 0, 0
    for kind, start, end in _segments(data):
        if kind in _SOF:
            frame, marker = bytes(data[start:end]), kind
        elif kind == _APP1 and not orientation:
            orientation = _orientation(bytes(data[start + 2 : end]))
        elif kind == _SOS:
            in_scan = data[start + 2] if start + 2 < len(data) else 0
            break
    if len(frame) < 8:
        raise IndexError("no frame header")
    channels = frame[7]
    return JPEGHeader(
        width=int.from_bytes(frame[5:7], "big"),
        height=int.from_bytes(frame[3:5], "big"),
        bits=frame[2],
        channels=channels,
        orientation=orientation or 1,
        several_scans=marker in _PROGRESSIVE or in_scan < channels,
    )


def decode_jpeg(data: Data, name: str, how: JPEGDecoding = WHOLE) -> tuple[Pixels, int]:
    """The pixels, turned by EXIF's orientation, and the divisor of the sides.

    The pixels are BGR, (height, width, 3), or with `luma` grey, (height, width, 1). A side that is
    no multiple of the divisor is rounded up. A picture that EXIF turns on its side keeps its size.
    Raises PictureError for damaged data.
    """
    if simplejpeg is None:
        raise PictureError(
            f"{name}: JPEGs cannot be checked for damage, because simplejpeg is not installed; "
            "pip install simplejpeg, or use PNG or BMP"
        )
    try:
        header = read_jpeg_header(data)
    except IndexError as error:
        raise _damaged(name, "no header") from error
    width, height = header.width, header.height
    turned = header.orientation > 4 and width != height
    reduction = 1 if turned or max(width, height) < 8 else how.reduction
    if header.several_scans and (fault := _scan_fault(data)):
        raise _damaged(name, fault)
    size = (-(-width // reduction), -(-height // reduction)) if reduction > 1 else (0, 0)
    pixels = _decoded(data, name, "GRAY" if how.luma else "BGR", *size)
    if header.orientation > 1:
        pixels = np.ascontiguousarray(_turned(pixels, header.orientation))
    return pixels, reduction


def truncated(name: str, kind: str, length: int) -> PictureError:
    """The error for a file of `length` bytes that lacks its end."""
    return PictureError(
        f"{name}: the {kind} file is truncated (ends after {length} bytes); "
        "copy it again, and rename it into place when it is complete"
    )


def _decoded(data: Data, name: str, colours: str, width: int, height: int) -> Pixels:
    """The pixels, not turned, at the smallest scale that has at least this size; whole for 0."""
    try:
        return _pixels(data, colours, width, height)
    except ValueError as error:
        words = str(error)
    if "extraneous bytes" in words:
        try:
            return _pixels(_without_padding(bytes(data)), colours, width, height)
        except ValueError:
            pass  # its first fault is the one to tell
    if "Premature end of JPEG file" in words:
        raise truncated(name, "JPEG", len(data))
    if "subsampling" in words:
        raise PictureError(
            f"{name}: its colours are sampled in a way that cannot be checked for damage; "
            "save it again, with 4:2:0, 4:2:2 or 4:4:4"
        )
    raise _damaged(name, words.removeprefix("Corrupt JPEG data: "))


def _pixels(data: Data, colours: str, width: int, height: int) -> Pixels:
    # The scale is the smallest one of n/8 that has at least this size. Raises ValueError.
    return np.asarray(
        simplejpeg.decode_jpeg(data, colours, min_width=width, min_height=height, strict=True),
        dtype=np.uint8,
    )


def _damaged(name: str, words: str) -> PictureError:
    return PictureError(f"{name}: damaged JPEG file ({words}); take or copy the picture again")


def _segments(data: Data) -> Iterator[tuple[int, int, int]]:
    """Each marker with the start and the end of what belongs to it: its length and payload.

    Ends at the end of the picture (EOI) or of the data. What lies between one end and the next
    marker is pixels, if the segment starts a scan, or else padding.
    """
    at = 2
    while match := _MARKER.search(data, at):
        start = at = match.end()
        marker = data[start - 1]
        if marker not in _ALONE and marker != _EOI:
            at += max(2, int.from_bytes(data[start : start + 2], "big"))
        yield marker, start, at
        if marker == _EOI:
            return


def _scan_fault(data: Data) -> str | None:
    """The fault in the order of the scans; None when they hold the whole picture.

    A progressive JPEG that was cut between two scans, and closed, decodes without a warning.
    """
    missing: dict[int, list[int]] = {}  # of each component: the bit that each frequency lacks
    progressive, scans = False, 0
    for marker, start, end in _segments(data):
        part = bytes(data[start:end])
        if marker in _SOF and len(part) > 7:
            progressive = marker in _PROGRESSIVE
            missing = {part[8 + 3 * n]: [1] * 64 for n in range(part[7]) if 8 + 3 * n < len(part)}
        elif marker == _SOS and len(part) > 2 and len(part) >= 6 + 2 * part[2]:
            scans += 1
            if scans > _MAX_SCANS:
                return f"more than {_MAX_SCANS} scans"
            first, last, bits = part[-3:]
            if not progressive:
                first, last, bits = 0, 63, 0
            for component in part[3 : 3 + 2 * part[2] : 2]:
                have = slice(first, last + 1)
                frequencies = missing.setdefault(component, [1] * 64)
                frequencies[have] = [bits & 15] * len(frequencies[have])
    if any(any(frequencies) for frequencies in missing.values()):
        return f"ends after {scans} scans, some are missing"
    return None


def _without_padding(data: bytes) -> bytes:
    """The same JPEG without zeros between the segments of its header.

    libjpeg warns of them, but they change no pixel. Zeros within or behind a scan stay: they may
    stand in place of pixels. A single zero behind a table stays: an inserted byte pushes it out.
    """
    kept, at, before = data[:2], 2, _APP1
    for marker, start, end in _segments(data):
        between = data[at : start - 2].rstrip(b"\xff")
        if len(between) > 1 or before not in _TABLES:
            between = between.rstrip(b"\0")
        kept += between + data[start - 2 : end]
        at, before = end, marker
        if marker == _SOS:
            break
    return kept + data[at:]


def _orientation(payload: bytes) -> int:
    """The orientation in an APP1 segment, as OpenCV reads it: 1 to 8, or 0 without one."""
    if not payload.startswith(_EXIF):
        return 0
    tiff = payload[len(_EXIF) :]
    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return 0

    def number(at: int, length: int) -> int:
        return int.from_bytes(tiff[at : at + length], "little" if tiff[:1] == b"I" else "big")

    table = number(4, 4)
    for entry in range(table + 2, min(table + 2 + 12 * number(table, 2), len(tiff) - 11), 12):
        if number(entry, 2) == _ORIENTATION:
            found = number(entry + 8, 2)
            return found if 1 <= found <= 8 else 1
    return 0


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """A view of the pixels, upright. Orientations 5 to 8 exchange the sides."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]
