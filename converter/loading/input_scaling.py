"""Scales 8-bit pixels to the range of the training. It becomes part of the converted model."""

from typing import Any

import numpy as np

from edge.inspection import SCALINGS, PixelScaling
from trainer.core import tensorflow


def scale_pixels(scaling: PixelScaling, pixels: Any) -> Any:
    """Scaled pixels, float32, in the shape of `pixels`: float32, (n, height, width, c)."""
    if scaling == SCALINGS["inside"]:
        return pixels
    tf = tensorflow()
    offset = np.array(scaling.offset, np.float32)
    if scaling.bgr:
        # A convolution becomes one int8 operator; a reversal would not.
        kernel = np.diag(scaling.factor)[::-1].astype(np.float32)
        return tf.nn.conv2d(pixels, kernel[None, None], 1, "VALID") + offset
    return pixels * np.array(scaling.factor, np.float32) + offset
