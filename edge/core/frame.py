"""A frame: one picture of a camera on its way to a verdict, or the fault instead of it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # whoever reads only the configuration imports no OpenCV
    from edge.core.image import EncodedPicture


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one camera, or a fault.

    seq            number of this camera's frame, from 1
    pixels         BGR uint8, shape (height, width, 3), both sides divided by `reduced`; None when
                   only `encoded` is there, or a fault
    captured_at    when it was taken, seconds since the epoch, for people
    captured_tick  when it was taken, monotonic seconds, for ages and latencies
    item           name of the picture in its folder or replay
    receipt        identifies that item; the outbox stores it in the commit of the verdict, so that
                   no item is judged twice
    fault          why there is no picture that may be judged
    encoded        the picture as its file's bytes, not decoded yet
    """

    camera: str
    seq: int
    pixels: NDArray[np.uint8] | None
    captured_at: float
    captured_tick: float
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None
    encoded: "EncodedPicture | None" = None
    reduced: int = 1

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture to judge."""
        return self.pixels is not None or self.encoded is not None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that its picture takes."""
        encoded = 0 if self.encoded is None else len(self.encoded.data)
        return encoded if self.pixels is None else encoded + self.pixels.nbytes

    def without_picture(self) -> "Frame":
        """The same without its picture, so that the picture's memory is free."""
        return replace(self, pixels=None, encoded=None)

    def shown(self) -> NDArray[np.uint8] | bytes | None:
        """The picture for people: the camera's JPEG, else BGR pixels (height, width, 3); None
        without a picture. Raises PictureError when it is damaged."""
        return self.pixels if self.encoded is None else self.encoded.shown()
