"""Turns a frame into the file that is kept: the camera's own JPEG, else the judged pixels."""

from dataclasses import dataclass

import cv2

from edge.core.frame import Frame
from edge.core.terms import Pixels
from edge.storage.evidence.record import Encoding

_JPEG_QUALITY = 90
_PNG_LEVEL = 1  # of 9: the next levels take several times longer for a few percent


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame as a file."""

    frame: Frame
    encoding: Encoding
    suffix: str
    data: bytes


def encode(frame: Frame, *, lossless: bool) -> EncodedFrame:
    """A frame that has a picture. `lossless`: without a JPEG of the camera it becomes a PNG, else
    a JPEG. Raises PictureError for a damaged BMP or PNG, and OSError."""
    encoded = frame.encoded
    if encoded is not None and encoded.header.kind == "JPEG":
        return EncodedFrame(frame, "camera-jpeg", "jpg", bytes(encoded.data))
    if encoded is not None and encoded.header.kind == "PNG" and lossless:
        return EncodedFrame(frame, "png", "png", bytes(encoded.data))
    pixels = frame.pixels if encoded is None else encoded.decode()[0]
    assert pixels is not None
    if lossless:
        data = _encoded(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        return EncodedFrame(frame, "png", "png", data)
    data = _encoded(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return EncodedFrame(frame, "jpeg-90", "jpg", data)


def _encoded(suffix: str, pixels: Pixels, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise OSError("it cannot be encoded")
    return data.tobytes()
