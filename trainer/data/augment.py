"""Variations of a picture that leave its class as it is: more looks at the same few parts."""

from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHIFT = 3 / 64  # of the width or height, either way
LIGHT = 0.2  # brightness is multiplied by 0.8 to 1.2
BLUR = 0.8  # sigma in pixels, at most
NOISE = 4.0  # grey levels of standard deviation, at most
TURNING = 1  # tells the random numbers of turns from those of noise
SELDOM = 0.25  # blur and noise are for one picture in four: they hide the smallest defects

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Variations:
    """Which variations may happen. Each can be switched off by name with --without.

    Quarter turns suit parts that come to lie in any direction, and hide what always runs one way,
    as a solar cell's busbars do: they must be asked for. So must small turns, for parts that lie
    askew now and then: `turn` is by how many degrees at most, either way; 0 is not at all.
    """

    flip: bool = True
    half_turn: bool = True
    quarter_turn: bool = False
    shift: bool = True
    light: bool = True
    blur: bool = True
    noise: bool = True
    turn: float = 0.0

    def chosen(self, without: set[str], quarter_turn: bool, turn: float = 0.0) -> "Variations":
        """The same with turns where wanted, and those of these names switched off."""
        wanted: dict[str, Any] = {
            "quarter_turn": quarter_turn or self.quarter_turn,
            "turn": turn or self.turn,
        }
        return replace(self, **wanted | dict.fromkeys(without, False))


NAMES = tuple(field.name for field in fields(Variations) if field.name != "turn")
NONE = Variations(**dict.fromkeys(NAMES, False))


def augment(
    pictures: Pictures, rng: np.random.Generator, variations: Variations = Variations()
) -> Pictures:
    """Each picture flipped, turned, shifted, lit, blurred and made noisy at random.

    `pictures` is uint8, (n, height, width, channels), 0 to 255; so is what comes back, always a
    copy. Shifts repeat the outermost pixels, small turns mirror what lies inside. The same state
    of `rng` gives the same variations, and what is switched off does not change the others.
    """
    n, height, width = len(pictures), *pictures.shape[1:3]
    reach_down, reach_right = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    flips = rng.integers(0, 2, size=n) * variations.flip
    turns = rng.integers(0, 4, size=n)
    down = rng.integers(-reach_down, reach_down + 1, size=n) * variations.shift
    right = rng.integers(-reach_right, reach_right + 1, size=n) * variations.shift
    light = rng.uniform(1 - LIGHT, 1 + LIGHT, size=n)
    blur = rng.uniform(0.3, BLUR, size=n) * (rng.random(n) < SELDOM)
    noise = rng.uniform(0, NOISE, size=n) * (rng.random(n) < SELDOM)
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
            own = np.random.default_rng([seeds[at], TURNING])
            values = _turned(values, own.uniform(-variations.turn, variations.turn))
        if variations.light:
            values *= np.float32(light[at])
        if variations.blur and blur[at]:
            blurred = cv2.GaussianBlur(values, (0, 0), float(blur[at]))
            values = np.asarray(blurred, np.float32).reshape(values.shape)
        if variations.noise and noise[at]:
            own = np.random.default_rng(seeds[at])
            grey = own.standard_normal((height, width, 1), np.float32)
            values += grey * np.float32(noise[at])
        result[at] = np.clip(np.rint(values), 0, 255)
    return result


def _turned(values: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """About the middle; float32, (height, width, channels), as it came."""
    height, width = values.shape[:2]
    around = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(values, around, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.float32).reshape(values.shape)
