"""The scalings of 8-bit pixels that networks are trained with, and how they fill an input tensor.

A model file of edge-convert holds its scaling, so its input takes raw pixels. A plain .tflite does
not: a wrong guess gives wrong verdicts without any error. An integer tensor shows the range of its
values in scale and zero point; a float tensor shows nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import ModelError
from edge.core.terms import Pixels, Scaling

COLOUR = 3  # channels
_EDGE = 0.05  # how far the ends of a tensor's range may lie from a scaling's, as a share of it
_LEAST = 0.75  # the share of a scaling's range that the tensor must hold


@dataclass(frozen=True, slots=True)
class PixelScaling:
    """value = pixel × factor + offset, per channel or for all. `bgr` reverses the channels first.

    Pixels are RGB or grey, 0 to 255.
    """

    factor: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    bgr: bool = False

    def fits(self, channels: int) -> bool:
        """Whether it can scale pictures of `channels` channels."""
        return len(self.factor) in (1, channels)

    def table(self) -> NDArray[np.float64]:
        """The value of each pixel level: (256, 1) or (256, 3)."""
        levels = np.arange(256.0)[:, None]
        return np.asarray(levels * np.array(self.factor) + np.array(self.offset), np.float64)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value that it gives."""
        values = self.table()
        return float(values.min()), float(values.max())


# The scalings of Keras's networks and of most others. `caffe` and `torch` are Keras's names: the
# means (and deviations) of ImageNet, for BGR and for RGB.
SCALINGS: dict[Scaling, PixelScaling] = {
    "inside": PixelScaling(),
    "0-1": PixelScaling((1 / 255,)),
    "signed": PixelScaling((1 / 127.5,), (-1.0,)),
    "caffe": PixelScaling((1.0, 1.0, 1.0), (-103.939, -116.779, -123.68), bgr=True),
    "torch": PixelScaling(
        (1 / 255 / 0.229, 1 / 255 / 0.224, 1 / 255 / 0.225),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
}

_WORDS = (
    "set model.scaling in config.yaml to the scaling of the training: inside (0 to 255, "
    "the network scales), 0-1 (÷ 255), signed (−1 to 1), caffe or torch (ImageNet's means, BGR or "
    "RGB)"
)
_FIND_OUT = (
    "the training script shows it in Rescaling, preprocess_input or a division by 255; "
    "model.check_pictures tests the choice with pictures of known parts"
)


class ScalingError(ModelError):
    """The scaling of a plain model's input is unknown, or contradicts its tensor."""


@dataclass(frozen=True, slots=True)
class InputFilling:
    """How a plain model's input tensor is filled: a look-up table for each channel.

    `table`: (1, 256, 1 or 3), of the tensor's type. `bgr`: the tensor takes blue first.
    """

    scaling: Scaling
    table: NDArray[Any]
    bgr: bool

    def __call__(self, picture: Pixels) -> NDArray[Any]:
        """The tensor, (1, height, width, channels), of a picture, uint8, RGB or grey."""
        table = self.table[0]
        ordered = picture[:, :, ::-1] if self.bgr else picture
        if table.shape[1] == 1:
            return np.asarray(table[:, 0].take(ordered)[None])
        planes = [table[:, at].take(ordered[:, :, at]) for at in range(table.shape[1])]
        return np.stack(planes, axis=-1)[None]


@dataclass(frozen=True, slots=True)
class InputTensor:
    """The input tensor of a .tflite. An integer tensor holds (value − zero point) × scale.

    `scale` is None for an integer tensor that holds plain numbers.
    """

    name: str
    dtype: type[np.generic]
    channels: int
    scale: float | None = None
    zero_point: int = 0

    def filling(self, scaling: Scaling | None) -> InputFilling:
        """How pixels fill it. `scaling`: model.scaling of config.yaml.

        Raises ScalingError for a float tensor without a scaling, and for an integer tensor that
        holds another range than the scaling, or several or no known ranges without one.
        """
        if scaling is not None and not SCALINGS[scaling].fits(self.channels):
            raise ScalingError(
                f"{self.name}: model.scaling: {scaling} is for three channels, the model takes "
                f"{self.channels}; set inside, 0-1 or signed"
            )
        if self.dtype == np.float32:
            if scaling is None:
                raise ScalingError(
                    f"{self.name}: a plain .tflite with a float input does not say which pixel "
                    f"values it takes; {_WORDS}; {_FIND_OUT}"
                )
            return self._filled(scaling)
        chosen = scaling if scaling is not None else self._only_fit()
        self._check_range(chosen)
        return self._filled(chosen)

    def _filled(self, scaling: Scaling) -> InputFilling:
        rule = SCALINGS[scaling]
        values = rule.table()
        if self.dtype != np.float32:
            limits = np.iinfo(self.dtype)  # type: ignore[type-var]
            steps = values / (self.scale or 1.0)
            # Halves away from zero, as TFLite rounds.
            rounded = np.trunc(steps + np.copysign(0.5, steps)) + self.zero_point
            values = rounded.clip(limits.min, limits.max)
        return InputFilling(scaling, values.astype(self.dtype)[None], rule.bgr)

    def _range(self) -> tuple[float, float]:
        limits, scale = np.iinfo(self.dtype), self.scale or 1.0  # type: ignore[type-var]
        return (limits.min - self.zero_point) * scale, (limits.max - self.zero_point) * scale

    @property
    def _symmetric(self) -> bool:
        """Whether the range says only how large the values are, not whether some are negative."""
        return self.zero_point == 0 and bool(np.issubdtype(self.dtype, np.signedinteger))

    def _misfit(self, scaling: Scaling) -> float:
        """The larger distance of the two ends of the ranges, as a share of the scaling's range."""
        (low, high), (least, most) = self._range(), SCALINGS[scaling].range
        if self._symmetric:
            size = max(-least, most)
            return abs(high - size) / size
        return max(abs(low - least), abs(high - most)) / (most - least)

    def _fits(self) -> list[Scaling]:
        return [
            name
            for name, rule in SCALINGS.items()
            if rule.fits(self.channels) and self._misfit(name) <= _EDGE
        ]

    def _only_fit(self) -> Scaling:
        fits = self._fits()
        if len(fits) == 1:
            return fits[0]
        meant = " or ".join(fits) if fits else "none of the known scalings"
        raise ScalingError(f"{self.name}: its {self._described()}: {meant}; {_WORDS}; {_FIND_OUT}")

    def _check_range(self, scaling: Scaling) -> None:
        """Raises ScalingError when the tensor's range is another than the scaling's."""
        (low, high), (least, most) = self._range(), SCALINGS[scaling].range
        margin = _EDGE * (most - least)
        fits = self._fits()
        if scaling in fits:
            return
        if self._symmetric:
            size = max(-least, most)
            good = _LEAST * size <= high <= size + margin
        else:
            inside = least - margin <= low and high <= most + margin
            good = inside and high - low >= _LEAST * (most - least)
        if fits or not good:
            change = (
                f"set {' or '.join(fits)}"
                if fits
                else "convert the Keras model with edge-convert, which needs no setting"
            )
            raise ScalingError(
                f"{self.name}: model.scaling: {scaling} gives {least:.4g} to {most:.4g}, but the "
                f"model's {self._described()}; {change}"
            )

    def _described(self) -> str:
        low, high = self._range()
        return f"{np.dtype(self.dtype).name} input holds {low:.4g} to {high:.4g}"
