"""Scales 8-bit pixels to the range of the training. It becomes part of the converted model."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.core.errors import ModelError
from trainer.core import tensorflow

PER_CHANNEL = 3


@dataclass(frozen=True, slots=True)
class InputScaling:
    """value = pixel × factor + offset, per channel or for all. `bgr` reverses the channels first.

    Pixels are RGB or grey, 0 to 255.
    """

    factor: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    bgr: bool = False

    def __call__(self, pixels: Any) -> Any:
        """Scaled pixels, float32, in the shape of `pixels`: float32, (n, height, width, c)."""
        if self == SCALINGS["inside"]:
            return pixels
        tf = tensorflow()
        if self.bgr:
            # A convolution becomes one int8 operator; a reversal would not.
            kernel = np.diag(self.factor)[::-1].astype(np.float32)
            return tf.nn.conv2d(pixels, kernel[None, None], 1, "VALID") + np.array(
                self.offset, np.float32
            )
        return pixels * np.array(self.factor, np.float32) + np.array(self.offset, np.float32)

    def check(self, name: str, channels: int) -> None:
        """Raises ModelError when it needs another number of channels."""
        if len(self.factor) == PER_CHANNEL and channels != PER_CHANNEL:
            raise ModelError(
                f"{name}: this --scaling is for three channels, the model takes {channels}; "
                "give --scaling inside, 0-1 or signed"
            )


# The scalings of Keras's networks and of most others. `caffe` and `torch` are Keras's names: the
# means (and deviations) of ImageNet, for BGR and for RGB.
SCALINGS: dict[str, InputScaling] = {
    "inside": InputScaling(),
    "0-1": InputScaling((1 / 255,)),
    "signed": InputScaling((1 / 127.5,), (-1.0,)),
    "caffe": InputScaling((1.0, 1.0, 1.0), (-103.939, -116.779, -123.68), bgr=True),
    "torch": InputScaling(
        (1 / 255 / 0.229, 1 / 255 / 0.224, 1 / 255 / 0.225),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
}
