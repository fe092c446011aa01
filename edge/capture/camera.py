"""The camera port: the contract between the reader and every kind of camera.

`Camera` is the port. `DrivenCamera` is the base class of drivers, which run in separate processes
(`edge.capture.isolation`). Nothing here knows a driver, a process or the configuration.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edge.core.clock import StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.frame import Frame, whole_size
from edge.core.image import EncodedPicture
from edge.core.jpeg import WHOLE, JPEGDecoding
from edge.core.text import escape

Pixels = NDArray[np.uint8]
DecodingOf = Callable[[int, int], JPEGDecoding]  # from width and height in pixels
FaultKind = Literal[
    "lost",
    "silent",
    "unfit",
    "decode",
    "wrong_size",
    "stale",
    "frozen",
    "dark",
    "bright",
    "covered",
    "blurred",
]
_HANDED_OUT = 4096  # items: more than a mailbox and a batch hold
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class CameraRead:
    """The result of one `read`: a picture or a fault.

    pixels         BGR uint8, shape (height, width, 3), or grey, (height, width, 1), both sides
                   divided by `reduced`; None for a fault, and while only `encoded` exists
    item, receipt  as in `Frame`
    fault          why there is no picture, in one sentence; `fault_kind` is its kind
    captured_tick  capture time from the driver, monotonic seconds; None when it reports none
    passed_over    frames since the previous read that were not returned
    encoded        the picture as the bytes of its file, not decoded yet
    repeats        identical frames right before this one, those passed over included
    """

    pixels: Pixels | None
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None
    fault_kind: FaultKind = "decode"
    captured_tick: float | None = None
    passed_over: int = 0
    encoded: EncodedPicture | None = None
    reduced: int = 1
    repeats: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole picture in pixels; 0, 0 without decoded pixels."""
        if self.pixels is None:
            return 0, 0
        return whole_size(self.pixels, self.reduced, self.encoded)

    def decoded(self) -> Pixels | None:
        """The pixels of the whole picture; None without a picture. Raises PictureError."""
        pixels = self.pixels
        whole = pixels is not None and self.reduced == 1 and pixels.shape[2] == 3
        return pixels if whole or self.encoded is None else self.encoded.decode()[0]


def decode_read(read: CameraRead, how: JPEGDecoding = WHOLE) -> CameraRead:
    """The same read with the pixels of its JPEG. A damaged JPEG becomes a fault."""
    if read.encoded is None:
        return read
    try:
        pixels, reduced = read.encoded.decode(how)
    except PictureError as error:
        return CameraRead(None, fault=str(error))
    return replace(read, pixels=pixels, reduced=reduced)


def fault_kind(name: object) -> FaultKind:
    """The kind of that name; `lost` for an unknown name."""
    return next((kind for kind in FAULT_KINDS if kind == name), "lost")


def item_name(name: str) -> str:
    """A file's name as text for JSON and SQLite. Bytes that are not UTF-8, control characters and
    non-characters become escapes such as `\\xff`."""
    return escape(name)


class ItemLedger(Protocol):
    """Remembers over restarts which items of a folder have their verdict."""

    def judged(self, camera: str, receipt: str) -> bool:
        """Whether the item has its verdict, stored or still in memory."""

    def stored(self, camera: str, receipt: str) -> bool:
        """Whether its verdict is on disk, so that the item may go."""

    def hand_out(self, camera: str, receipt: str) -> None:
        """Notes that the item is on its way to its verdict."""

    def prune(self, camera: str, present: Collection[str]) -> None:
        """Forgets receipts that are not among `present`, those of all items in the source."""


class ReaderLedger:
    """The ledger for one reader, which may open its camera again while items are on their way."""

    def __init__(self, ledger: ItemLedger) -> None:
        self._ledger = ledger
        self._receipts: dict[str, None] = {}

    def judged(self, camera: str, receipt: str) -> bool:
        """Whether the item has its verdict or was handed out."""
        return receipt in self._receipts or self._ledger.judged(camera, receipt)

    def stored(self, camera: str, receipt: str) -> bool:
        """Whether its verdict is on disk."""
        return self._ledger.stored(camera, receipt)

    def hand_out(self, camera: str, receipt: str) -> None:
        """Notes the item; forgets the oldest, which has its verdict long since."""
        self._ledger.hand_out(camera, receipt)
        self._receipts[receipt] = None
        if len(self._receipts) > _HANDED_OUT:
            del self._receipts[next(iter(self._receipts))]

    def prune(self, camera: str, present: Collection[str]) -> None:
        """As `ItemLedger.prune`."""
        self._ledger.prune(camera, present)


class Camera(Protocol):
    """One open source of pictures.

    - One thread uses it: it calls `read` until None or CameraError, then `close`.
    - CameraError means that the camera is lost. The reader closes it and opens a new one later.
    - An unusable picture is no CameraError but a `CameraRead` with a fault: reading goes on.
    - `read` ends soon after `stop` is set. A driver that cannot do that runs in a separate process,
      which can be killed.
    - The pixels of a `CameraRead` are read only. They stay valid after the next `read` and after
      `close`.
    - `live` cameras show the present, so a newer frame may replace an older one. The others
      deliver items: each is judged exactly once, however long that takes.
    """

    live: bool

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Waits for the next picture; None at the end of the source, or on stop.

        Raises CameraError when the camera is lost.
        """
        ...

    def close(self) -> None:
        """Releases the device. May be called twice, and after a failed `read`."""
        ...


class DrivenCamera(ABC):
    """A live camera behind a driver, read in two steps.

    Every frame is grabbed, so that the driver's buffer never holds an old one. Only a requested
    frame is retrieved, which decodes it.
    """

    live = True
    gives_jpeg = False  # whether `retrieve_encoded` works

    @abstractmethod
    def grab(self, stop: StopEvent) -> bool:
        """Waits for the driver's next frame; False at the end of the stream.

        Raises CameraError when the camera is lost.
        """

    @abstractmethod
    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The grabbed frame, decoded.

        The driver may write it into `target` when the shapes are equal; otherwise the frame has
        its own memory. Raises CameraError when the camera is lost.
        """

    def retrieve_encoded(self) -> CameraRead:
        """The grabbed frame as the camera's JPEG, not decoded; only with `gives_jpeg`.

        Raises CameraError when the camera is lost.
        """
        raise CameraError("this camera gives no JPEG")

    def take_notes(self) -> list[str]:
        """Peculiarities since the last call, each a sentence for the log; the camera works."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Releases the device. May be called twice, and after a failed `grab`."""

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Both steps, as in `Camera.read`."""
        return self.retrieve(None) if self.grab(stop) else None


class FrameSink(Protocol):
    """Where a reader puts the frames of its camera. `Mailbox` of edge.pipeline implements it."""

    def offer(self, frame: Frame) -> None:
        """Takes a live frame. It may replace an earlier one that was not taken."""

    def put(self, frame: Frame, stop: StopEvent) -> bool:
        """Takes a file's frame and waits for room. False: `stop` came first."""

    def note_rejected(self, camera: str, why: str) -> None:
        """Notes why a picture of the camera is not judged."""
