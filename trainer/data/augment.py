"""Data augmentation: random variations of a picture that do not change its class."""

from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SHIFT = 3 / 64  # of the width or height, in either direction
BRIGHTNESS_RANGE = 0.2  # brightness is multiplied by 0.8 to 1.2
MAX_BLUR = 0.8  # sigma in pixels
MAX_NOISE = 4.0  # standard deviation in grey levels
ROTATION_STREAM = 1  # separates the random numbers of turns from those of noise
BLUR_NOISE_SHARE = 0.25  # one picture in four: blur and noise hide the smallest defects

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Variations:
    """The variations that may happen. --without NAME switches one off.

    Quarter turns suit parts that lie in any direction. They hide structure that always runs one
    way, such as the busbars of a solar cell, so they are off by default. `turn` is the largest
    small turn in degrees, in either direction, for parts that are sometimes rotated; 0 is off.
    """

    flip: bool = True
    half_turn: bool = True
    quarter_turn: bool = False
    shift: bool = True
    light: bool = True
    blur: bool = True
    noise: bool = True
    turn: float = 0.0

    def chosen(self, without: set[str], *, quarter_turn: bool, turn: float = 0.0) -> "Variations":
        """A copy with turns switched on and the variations named in `without` switched off."""
        turns: dict[str, Any] = {
            "quarter_turn": quarter_turn or self.quarter_turn,
            "turn": turn or self.turn,
        }
        return replace(self, **turns | dict.fromkeys(without, False))


NAMES = tuple(field.name for field in fields(Variations) if field.name != "turn")
NONE = Variations(**dict.fromkeys(NAMES, False))


def augment(
    pictures: Pictures, rng: np.random.Generator, variations: Variations = Variations()
) -> Pictures:
    """Varies each picture at random: flip, turn, shift, brightness, blur and noise.

    `pictures` and the result are uint8, (n, height, width, channels), 0 to 255; the result is a
    copy. Shifts repeat the outermost pixels; small turns mirror the inside at the border. The
    same state of `rng` gives the same variations. A variation that is off does not change the
    random numbers of the others.
    """
    n, height, width = len(pictures), *pictures.shape[1:3]
    max_down, max_right = max(1, round(MAX_SHIFT * height)), max(1, round(MAX_SHIFT * width))
    flips = rng.integers(0, 2, size=n) * variations.flip
    turns = rng.integers(0, 4, size=n)
    down = rng.integers(-max_down, max_down + 1, size=n) * variations.shift
    right = rng.integers(-max_right, max_right + 1, size=n) * variations.shift
    light = rng.uniform(1 - BRIGHTNESS_RANGE, 1 + BRIGHTNESS_RANGE, size=n)
    blur = rng.uniform(0.3, MAX_BLUR, size=n) * (rng.random(n) < BLUR_NOISE_SHARE)
    noise = rng.uniform(0, MAX_NOISE, size=n) * (rng.random(n) < BLUR_NOISE_SHARE)
    seeds = rng.integers(0, 2**32, size=n)
    if height != width or not variations.quarter_turn:
        turns = turns // 2 * 2 * variations.half_turn
    result = np.empty_like(pictures)
    for at in range(n):
        picture = pictures[at, :, ::-1] if flips[at] else pictures[at]
        picture = np.rot90(picture, int(turns[at]))
        rows = np.clip(np.arange(height) - down[at], 0, height - 1)
        columns = np.clip(np.arange(width) - right[at], 0, width - 1)
        values = picture[rows[:, None], columns[None]].astype(np.float32)
        if variations.turn:
            turn_rng = np.random.default_rng([seeds[at], ROTATION_STREAM])
            values = _turned(values, turn_rng.uniform(-variations.turn, variations.turn))
        if variations.light:
            values *= np.float32(light[at])
        if variations.blur and blur[at]:
            blurred = cv2.GaussianBlur(values, (0, 0), float(blur[at]))
            values = np.asarray(blurred, np.float32).reshape(values.shape)
        if variations.noise and noise[at]:
            noise_rng = np.random.default_rng(seeds[at])
            grey = noise_rng.standard_normal((height, width, 1), np.float32)
            values += grey * np.float32(noise[at])
        result[at] = np.clip(np.rint(values), 0, 255)
    return result


def _turned(values: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Turns a picture about its middle: float32, (height, width, channels)."""
    height, width = values.shape[:2]
    around = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(values, around, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.float32).reshape(values.shape)
