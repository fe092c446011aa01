"""JPEGs of every kind that encoders make, and ways to damage them."""

import random
import struct
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
_SOS = b"\xff\xda"
# the ways of an encoder that OpenCV can write, for `encode_jpeg`
FORMS: dict[str, tuple[int, ...]] = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
}


def encode_jpeg(pixels: NDArray[np.uint8], *options: int, quality: int = 90) -> bytes:
    """A JPEG; `options` are OpenCV's pairs."""
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *options])
    assert done
    return data.tobytes()


def segment(marker: int, payload: bytes) -> bytes:
    """A marker with its payload, of at most 65,533 bytes."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(payload) + 2) + payload


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """The JPEG with more segments at its start."""
    return data[:2] + b"".join(segments) + data[2:]


def exif(orientation: int, order: str = "<", thumbnail: bytes = b"") -> bytes:
    """An APP1 segment with an orientation and a thumbnail. `order`: "<" or ">"."""
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(
        f"{order}HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0
    )
    return segment(0xE1, b"Exif\0\0" + tiff + thumbnail)


def scan_start(data: bytes) -> int:
    """Where the first scan's segment starts."""
    return data.index(_SOS)


def flip_bit(data: bytes, dice: random.Random) -> bytes:
    """One wrong bit."""
    damaged = bytearray(data)
    damaged[dice.randrange(2, len(data))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def flip_bits(data: bytes, dice: random.Random) -> bytes:
    """Two to eight wrong bits."""
    for _ in range(dice.randint(2, 8)):
        data = flip_bit(data, dice)
    return data


def zero_block(data: bytes, dice: random.Random) -> bytes:
    """A block of zeros in place of data."""
    at, length = _block(data, dice)
    return data[:at] + bytes(length) + data[at + length :]


def overwrite_block(data: bytes, dice: random.Random) -> bytes:
    """A block of random bytes in place of data."""
    at, length = _block(data, dice)
    return data[:at] + dice.randbytes(length) + data[at + length :]


def drop_block(data: bytes, dice: random.Random) -> bytes:
    """A block is missing."""
    at, length = _block(data, dice)
    return data[:at] + data[at + length :]


def insert_block(data: bytes, dice: random.Random) -> bytes:
    """A block of random bytes between the data."""
    at, length = _block(data, dice)
    return data[:at] + dice.randbytes(length) + data[at:]


def repeat_block(data: bytes, dice: random.Random) -> bytes:
    """A block that was sent twice."""
    at, length = _block(data, dice)
    return data[: at + length] + data[at:]


def swap_blocks(data: bytes, dice: random.Random) -> bytes:
    """Two neighbouring blocks in the wrong order."""
    at, length = _block(data, dice)
    length = max(1, length // 2)
    first, second = data[at : at + length], data[at + length : at + 2 * length]
    return data[:at] + second + first + data[at + 2 * length :]


def cut_and_close(data: bytes, dice: random.Random) -> bytes:
    """The end is missing, but the JPEG ends as it should."""
    return data[: dice.randrange(scan_start(data), len(data) - 2)] + EOI


def cut(data: bytes, dice: random.Random) -> bytes:
    """The end is missing."""
    return data[: dice.randrange(4, len(data))]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "one flipped bit": flip_bit,
    "2 to 8 flipped bits": flip_bits,
    "zeroed block": zero_block,
    "overwritten block": overwrite_block,
    "missing block": drop_block,
    "inserted block": insert_block,
    "repeated block": repeat_block,
    "swapped blocks": swap_blocks,
    "cut, with EOI": cut_and_close,
    "cut": cut,
}


def _block(data: bytes, dice: random.Random) -> tuple[int, int]:
    """The start and the length of a block behind the first two bytes."""
    length = min(dice.choice((1, 2, 8, 64, 512, 1024, 4096)), (len(data) - 2) // 2)
    return dice.randrange(2, len(data) - length), length
