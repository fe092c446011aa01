"""Support for tests of `folder:`: receipts that outlive a camera, and runs of a camera."""

from collections.abc import Callable
from pathlib import Path

from edge.capture.camera import CameraRead
from edge.capture.sources.folder import FolderCamera
from edge.capture.sources.inotify import FolderWatch
from edge.core.clock import Clock, StopEvent
from tests.support.clock import FakeClock, Patience

_SLICE_S = 0.05


class StopAfterWaits(StopEvent):
    """A stop event that is set after a number of waits, each at most 0.05 s of real time."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self._left = waits

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Waits for `seconds`, at most 0.05 s."""
        self._left -= 1
        return super().wait(min(seconds, _SLICE_S), file) or self._left < 0


class Receipts:
    """The receipts of judged files; they outlive the camera."""

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
    """The reads of one run of the camera over `looks` scans; each receipt is stored as judged."""
    patience = Patience(clock, looks)
    patience.on_wait = on_wait
    camera = FolderCamera(folder, receipts, environment)
    reads = []
    while (look := camera.read(patience)) is not None:
        assert look.receipt is not None
        receipts.stored.add(look.receipt)
        reads.append(look)
    camera.close()
    return reads


def names(looks: list[CameraRead]) -> list[str | None]:
    """The file names of reads."""
    return [look.item for look in looks]


def watched(folder: Path, receipts: Receipts, move_to: Path | None = None) -> FolderCamera:
    """A camera with inotify, under the real clock."""
    watch = FolderWatch.on(folder)
    assert watch is not None
    return FolderCamera(folder, receipts, Clock(), watch=watch, move_to=move_to)
