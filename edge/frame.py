"""A frame: what one look of a camera brought, or why it brought nothing. It travels one way."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # config.yaml's words come from beside here, and are read without OpenCV
    from edge.picture import Encoded


@dataclass(frozen=True, slots=True)
class Frame:
    """One look of one camera.

    `pixels` is uint8, shape (height, width, 3), BGR, 0 to 255, both sides divided by `reduced`;
    None when the picture still is to be decoded (`encoded`), or `fault` says why there is no
    trustworthy one. `seq` counts this camera's looks from 1. `captured_at` is seconds
    since the epoch (for people), `captured_tick` monotonic seconds (for ages and latencies).
    `item` names the picture a folder or replay brought; `receipt` is what the outbox must write
    down in the same commit as the verdict, so that the item is never judged twice.
    """

    camera: str
    seq: int
    pixels: NDArray[np.uint8] | None
    captured_at: float
    captured_tick: float
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None
    encoded: "Encoded | None" = None
    reduced: int = 1

    @property
    def has_picture(self) -> bool:
        """Whether there is something to judge."""
        return self.pixels is not None or self.encoded is not None

    @property
    def nbytes(self) -> int:
        """How much memory its picture takes."""
        encoded = 0 if self.encoded is None else len(self.encoded.data)
        return encoded if self.pixels is None else encoded + self.pixels.nbytes

    def without_picture(self) -> "Frame":
        """The same, for when nobody will look at the picture any more."""
        return replace(self, pixels=None, encoded=None)

    def shown(self) -> NDArray[np.uint8] | bytes | None:
        """The picture for people: a JPEG as it came, else pixels (height, width, 3), BGR; None
        without one. Raises PictureError when it is damaged."""
        return self.pixels if self.encoded is None else self.encoded.shown()
