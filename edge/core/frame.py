"""A frame: one picture from a camera on its way to a verdict, or a fault."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.core.terms import Pixels

if TYPE_CHECKING:  # reading the configuration must not import OpenCV
    from edge.core.image import EncodedPicture


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from one camera, or a fault.

    - `seq`: counts this camera's frames from 1.
    - `pixels`: BGR, uint8, (height, width, 3), or grey, (height, width, 1), both sides divided by
      `reduced`; None for a fault
      or while only `encoded` exists.
    - `captured_at`: seconds since the epoch, for people.
    - `captured_tick`: monotonic seconds, for ages and latencies.
    - `item`: the picture's name in its folder or replay.
    - `receipt`: identifies that item. The outbox commits it with the verdict, so that no item is
      judged twice.
    - `fault`: why there is no picture to judge.
    - `encoded`: the picture's file, not yet decoded.
    - `recipe`: the number of the recipe that was current when it was captured; None: there is none.
    """

    camera: str
    seq: int
    pixels: Pixels | None
    captured_at: float
    captured_tick: float
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None
    encoded: "EncodedPicture | None" = None
    reduced: int = 1
    recipe: int | None = None

    @property
    def has_picture(self) -> bool:
        return self.pixels is not None or self.encoded is not None

    @property
    def nbytes(self) -> int:
        encoded = 0 if self.encoded is None else len(self.encoded.data)
        return encoded if self.pixels is None else encoded + self.pixels.nbytes

    def without_picture(self) -> "Frame":
        """A copy without the picture, so that the picture's memory becomes free."""
        return replace(self, pixels=None, encoded=None)

    def compact(self) -> "Frame":
        """A copy with as little memory as its file takes: without pixels where there is a file,
        of which it gets a copy outside the frame ring."""
        if self.encoded is None:
            return self
        return replace(self, pixels=None, encoded=self.encoded.copied())

    def shown(self) -> Pixels | bytes | None:
        """The picture for people: the camera's JPEG, or BGR pixels (height, width, 3), or None.
        Raises PictureError when it is damaged."""
        return self.pixels if self.encoded is None else self.encoded.shown()


def whole_size(pixels: Pixels, reduced: int, encoded: "EncodedPicture | None") -> tuple[int, int]:
    """Width and height of the picture before both sides were divided by `reduced` and rounded up;
    by the header of its file where there is one."""
    if reduced > 1 and encoded is not None:
        return encoded.header.width, encoded.header.height
    return pixels.shape[1] * reduced, pixels.shape[0] * reduced
