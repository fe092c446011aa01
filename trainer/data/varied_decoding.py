"""Other readings of a training picture: raw pixels, other JPEG qualities, other scales of decoding.

A network that learns from them judges raw frames, PNGs and pictures of other sizes alike.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.image import EncodedPicture, examine_picture
from edge.core.jpeg import JPEGDecoding
from edge.core.view import ViewConfig
from edge.inspection import InputSpec, ViewCrop, jpeg_decoding, preprocess, to_model_input

QUALITY = 95  # of a JPEG made from a picture that is none
QUALITIES = (60, 97)  # lowest and highest, of varied JPEGs
RAW_SHARE = 1 / 3  # of the varied readings are pixels that were never a JPEG of ours


def as_jpeg(picture: EncodedPicture, quality: int = QUALITY) -> EncodedPicture:
    """The picture itself if it is a JPEG, else its pixels as a JPEG. Raises PictureError."""
    return picture if picture.header.kind == "JPEG" else _encoded(picture, quality)


def varied_input(
    picture: EncodedPicture, spec: InputSpec, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The model's input, `spec.shape`, from the picture read another way. Raises PictureError."""
    raw, quality = rng.random() < RAW_SHARE, int(rng.integers(*QUALITIES, endpoint=True))
    if raw:
        return preprocess(picture.decode()[0], spec)
    jpeg, crop = _encoded(picture, quality), ViewCrop(spec.view or ViewConfig())
    rule = jpeg_decoding(jpeg.header.width, jpeg.header.height, crop, spec)
    allowed = [divisor for divisor in (1, 2, 4, 8) if divisor <= rule.reduction]
    pixels, reduced = jpeg.decode(JPEGDecoding(int(rng.choice(allowed)), rule.luma))
    (region,) = crop.cut(pixels, reduced).values()
    return to_model_input(region, spec)


def _encoded(picture: EncodedPicture, quality: int) -> EncodedPicture:
    _, data = cv2.imencode(".jpg", picture.decode()[0], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return examine_picture(data.tobytes(), picture.name)
