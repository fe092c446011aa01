"""Variations of a picture that leave its class as it is: more looks at the same few parts."""

import numpy as np
from numpy.typing import NDArray

SHIFT = 3 / 64  # of the width or height, either way
LIGHT = 0.2  # brightness is multiplied by 0.8 to 1.2

Pictures = NDArray[np.uint8]


def augment(
    pictures: Pictures, rng: np.random.Generator, *, quarter_turns: bool = False
) -> Pictures:
    """Each picture flipped, turned, shifted and lit at random.

    `pictures` is uint8, (n, height, width, channels), 0 to 255; so is what comes back, always a
    copy. Half turns, and with `quarter_turns` quarter turns of square pictures too: they suit parts
    that come to lie in any direction, and hide what always runs one way, as a cell's busbars do.
    The border repeats the outermost pixels. The same state of `rng` gives the same variations.
    """
    n, height, width = len(pictures), *pictures.shape[1:3]
    reach_down, reach_right = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    flips, turns = rng.integers(0, 2, size=n), rng.integers(0, 4, size=n)
    down = rng.integers(-reach_down, reach_down + 1, size=n)
    right = rng.integers(-reach_right, reach_right + 1, size=n)
    light = rng.uniform(1 - LIGHT, 1 + LIGHT, size=n)
    if height != width or not quarter_turns:
        turns = turns // 2 * 2
    result = np.empty_like(pictures)
    for at in range(n):
        picture = pictures[at, :, ::-1] if flips[at] else pictures[at]
        picture = np.rot90(picture, int(turns[at]))
        rows = np.clip(np.arange(height) - down[at], 0, height - 1)
        columns = np.clip(np.arange(width) - right[at], 0, width - 1)
        lit = picture[rows[:, None], columns[None]] * np.float32(light[at])
        result[at] = np.clip(np.rint(lit), 0, 255)
    return result
