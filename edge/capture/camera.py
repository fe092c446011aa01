"""The camera port: the contract that every kind of camera keeps towards the reader.

`Camera` is the port. `DrivenCamera` is the base of drivers, which run in a process of their own
(`edge.capture.isolation.isolated_camera`). Nothing here knows a driver, a process or the
configuration.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edge.core.clock import StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.frame import Frame
from edge.core.image import Encoded

Pixels = NDArray[np.uint8]
Distrust = Literal[
    "decode", "wrong_size", "stale", "frozen", "dark", "bright", "covered", "blurred"
]
Reduction = Callable[[int, int], int]  # divisor of both sides, from width and height in pixels
FaultKind = Literal["lost", "silent", "unfit"] | Distrust
FAULT_KINDS: tuple[FaultKind, ...] = ("lost", "silent", "unfit", *get_args(Distrust))


@dataclass(frozen=True, slots=True)
class CameraRead:
    """What one `read` returned: a picture, or a fault instead.

    pixels         BGR uint8, shape (height, width, 3), both sides divided by `reduced`; None when
                   only `encoded` is there, or a fault
    item, receipt  as in `Frame`
    fault          why there is no picture, in one sentence; `fault_kind` is its kind
    captured_tick  when the driver says it was taken, monotonic seconds; None when it does not say
    passed_over    frames since the previous read that were not returned
    encoded        the picture as its file's bytes, not decoded yet
    repeats        identical frames right before this one, those passed over included, as far as
                   they were compared
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
        """The pixels of the whole picture; None without a picture. Raises PictureError."""
        return self.pixels if self.encoded is None else self.encoded.decode()[0]


def decoded(look: CameraRead, reduced: int = 1) -> CameraRead:
    """The same with the pixels of its JPEG, both sides divided by `reduced` where that is possible.
    A JPEG that cannot be decoded becomes a fault."""
    if look.encoded is None:
        return look
    try:
        pixels, by = look.encoded.decode(reduced)
    except PictureError as error:
        return CameraRead(None, fault=str(error))
    return replace(look, pixels=pixels, reduced=by)


def fault_kind(name: object) -> FaultKind:
    """The kind of that name; `lost` for an unknown name."""
    return next((kind for kind in FAULT_KINDS if kind == name), "lost")


def item_name(name: str) -> str:
    """A file's name as text for JSON and SQLite, also when the name is not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class ItemLedger(Protocol):
    """The items of a folder that have their verdict, remembered over restarts."""

    def judged(self, camera: str, receipt: str) -> bool:
        """Whether the item has its verdict."""

    def prune(self, camera: str, present: Collection[str]) -> None:
        """`present` are the receipts of all items in the source; others may be forgotten."""


class Camera(Protocol):
    """One open source of pictures. The reader knows no other part of a camera.

    - One thread uses it: it calls `read` until None or CameraError, then `close`.
    - A CameraError means that the camera is lost. The reader closes it and opens a new one
      later.
    - A picture that cannot be used is no CameraError but a `CameraRead` with a fault: reading goes
      on.
    - `read` ends soon after `stop` is set. A driver that cannot do that is read in a process
      of
      its own, which can be
      killed.
    - The pixels of a `CameraRead` are read only and stay valid after the next `read` and after
      `close`.
    - `live` cameras show the world as it is now, so a newer frame may replace an older one. The
      others bring items: each is judged exactly once, however long that takes.
    """

    live: bool

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Waits for the next picture; None when there will never be another, or on stop.

        Raises CameraError when the camera is lost.
        """
        ...

    def close(self) -> None:
        """Releases the device. May be called twice, and after a failed `read`."""
        ...


class DrivenCamera(ABC):
    """A live camera behind a driver, read in two steps.

    Every frame is grabbed, so that the driver's buffer never holds an old one. Only a frame that is
    requested is retrieved, which decodes it.
    """

    live = True
    gives_jpeg = False  # whether `retrieve_encoded` works

    @abstractmethod
    def grab(self, stop: StopEvent) -> bool:
        """Waits for the driver's next frame; False when there will never be another.

        Raises CameraError when the camera is lost.
        """

    @abstractmethod
    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The grabbed frame, decoded.

        It is written into `target` when the driver can do that and the shapes are equal; otherwise
        it has its own memory. Raises CameraError when the camera is lost.
        """

    def retrieve_encoded(self) -> CameraRead:
        """The grabbed frame as the camera's JPEG, not decoded; only with `gives_jpeg`.

        Raises CameraError when the camera is lost.
        """
        raise CameraError("this camera gives no JPEG")

    @abstractmethod
    def close(self) -> None:
        """Releases the device. May be called twice, and after a failed `grab`."""

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Both steps at once, as in `Camera.read`."""
        return self.retrieve(None) if self.grab(stop) else None


class FrameSink(Protocol):
    """Where a reader puts the frames of its camera. `Mailbox` of edge.pipeline is the real one."""

    def offer(self, frame: Frame) -> None:
        """Takes a live frame. It may replace an earlier one that was not taken."""

    def put(self, frame: Frame, stop: StopEvent) -> bool:
        """Takes a file's frame and waits for room. False: `stop` came first."""

    def note_rejected(self, camera: str, why: str) -> None:
        """Notes why a picture of the camera is not judged."""
