"""The camera port: what every kind of camera is to the rest of the house."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edge.environment import Stop
from edge.errors import CameraError, PictureError
from edge.picture import Encoded

Pixels = NDArray[np.uint8]
Distrust = Literal[
    "decode", "wrong_size", "stale", "frozen", "dark", "bright", "covered", "blurred"
]
Reduction = Callable[[int, int], int]  # of a picture's width and height in pixels
FaultKind = Literal["lost", "silent", "unfit"] | Distrust
FAULT_KINDS: tuple[FaultKind, ...] = ("lost", "silent", "unfit", *get_args(Distrust))


@dataclass(frozen=True, slots=True)
class Look:
    """What one read brought: BGR uint8 pixels (height, width, 3), both sides divided by `reduced`,
    a picture that is still to be decoded (`encoded`), both, or a fault instead.

    `item` and `receipt` as in Frame. `captured_tick` is when the driver says that the picture was
    taken, monotonic seconds; None when nobody knows. `passed_over` counts the pictures that came
    since the look before and made way for this one. `repeats`: so many pictures right before it
    were the same, those that were passed over among them, as far as anybody has looked.
    """

    pixels: Pixels | None
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None
    fault_kind: FaultKind = "decode"
    captured_tick: float | None = None
    passed_over: int = 0
    encoded: Encoded | None = None
    reduced: int = 1
    repeats: int = 0

    def decoded(self) -> Pixels | None:
        """The whole picture's pixels; None without a picture. Raises PictureError."""
        return self.pixels if self.encoded is None else self.encoded.decode()[0]


def decoded(look: Look, reduced: int = 1) -> Look:
    """A look with its JPEG's pixels, at the part of its size that is said or whole; a JPEG that
    cannot be decoded is a fault."""
    if look.encoded is None:
        return look
    try:
        pixels, by = look.encoded.decode(reduced)
    except PictureError as error:
        return Look(None, fault=str(error))
    return replace(look, pixels=pixels, reduced=by)


def fault_kind(said: object) -> FaultKind:
    """The kind of that name; `lost` for what is none."""
    return next((kind for kind in FAULT_KINDS if kind == said), "lost")


def item_name(name: str) -> str:
    """A file's name as text that JSON and SQLite take, also when the name is not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Receipts(Protocol):
    """What is remembered of items over restarts, whoever remembers it."""

    def judged(self, camera: str, receipt: str) -> bool:
        """Whether the item has its verdict."""

    def lying(self, camera: str, present: Collection[str]) -> None:
        """These are the receipts of what the source holds now; those of what went may go too."""


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


class DrivenCamera(ABC):
    """A live camera behind a driver, read in two steps: a picture that nobody wants is grabbed, so
    that the driver's buffer stays empty, and never decoded."""

    live = True
    gives_jpeg = False  # whether `retrieve_encoded` has something

    @abstractmethod
    def grab(self, stop: Stop) -> bool:
        """Blocks until the driver has the next picture; False when there will never be another.

        Raises CameraError when the camera is lost.
        """

    @abstractmethod
    def retrieve(self, target: Pixels | None) -> Look:
        """The picture that was grabbed, decoded, written into `target` where the driver can do
        that and it has the picture's shape; else into memory of its own.

        Raises CameraError when the camera is lost.
        """

    def retrieve_encoded(self) -> Look:
        """The picture that was grabbed as the JPEG that came, not decoded; of a driver that
        `gives_jpeg`. Raises CameraError when the camera is lost."""
        raise CameraError("this camera gives no JPEG")

    @abstractmethod
    def close(self) -> None:
        """Gives the device back. May be called twice, and after a failed read."""

    def read(self, stop: Stop) -> Look | None:
        """Both steps at once, as in `Camera.read`."""
        return self.retrieve(None) if self.grab(stop) else None
