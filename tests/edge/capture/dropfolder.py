"""What tests of `folder:` share: receipts that outlive a camera, and runs of it."""

from collections.abc import Callable
from pathlib import Path

from edge.capture.camera import CameraRead
from edge.capture.sources.folder import FolderCamera
from edge.capture.sources.inotify import FolderWatch
from edge.core.clock import Clock, StopEvent
from tests.support.clock import FakeClock, Patience

_SLICE_S = 0.05


class Looks(StopEvent):
    """A stop that comes after so many waits of 0.05 s at most, under the real clock."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Waits as told, but not for so long."""
        self._left -= 1
        return super().wait(min(seconds, _SLICE_S), file) or self._left < 0


class Receipts:
    """What the outbox knows to be judged; it outlives the camera."""

    def __init__(self) -> None:
        self.stored: set[str] = set()

    def __call__(self, receipt: str) -> bool:
        return receipt in self.stored


def read_all(
    folder: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    *,
    looks: int = 60,
    on_wait: Callable[[int], None] = lambda _number: None,
) -> list[CameraRead]:
    """What one run of the camera brings in so many looks of 0.2 s; each is stored as judged."""
    patience = Patience(clock, looks)
    patience.on_wait = on_wait
    camera = FolderCamera(folder, receipts, environment)
    brought = []
    while (look := camera.read(patience)) is not None:
        assert look.receipt is not None
        receipts.stored.add(look.receipt)
        brought.append(look)
    camera.close()
    return brought


def names(looks: list[CameraRead]) -> list[str | None]:
    """The names of what was brought."""
    return [look.item for look in looks]


def watched(folder: Path, receipts: Receipts, move_to: Path | None = None) -> FolderCamera:
    """A camera that hears the kernel, under the real clock."""
    watch = FolderWatch.on(folder)
    assert watch is not None
    return FolderCamera(folder, receipts, Clock(), watch=watch, move_to=move_to)
