"""The camera port: what every kind of camera is to the rest of the house."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.environment import Stop


@dataclass(frozen=True, slots=True)
class Look:
    """What one read brought: BGR uint8 pixels (height, width, 3), or a fault instead.

    `item` and `receipt` as in Frame.
    """

    pixels: NDArray[np.uint8] | None
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None


def item_name(name: str) -> str:
    """A file's name as text that JSON and SQLite take, also when the name is not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Camera(Protocol):
    """One opened source of pictures. It exists so that capture does not care what is plugged in.

    `live` cameras show the world as it is now: an old frame may be replaced by a newer one.
    The others bring items that are each judged exactly once, however long that takes.
    """

    live: bool

    def read(self, stop: Stop) -> Look | None:
        """Blocks until there is a picture; None when there will never be another, or on stop.

        Raises CameraError when the camera is lost; it is then closed and opened again.
        """
        ...

    def close(self) -> None:
        """Gives the device back. May be called twice, and after a failed read."""
        ...
