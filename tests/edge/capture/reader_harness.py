"""A reader with scripted cameras, under a fake clock."""

from collections.abc import Callable, Iterable
from typing import Any

from edge.capture.camera import Camera
from edge.capture.reader import Reader, SettingsAt
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.frame import Frame
from edge.pipeline.mailbox import Inlet, Mailbox


class Recorder(Mailbox):
    """A mailbox that records every frame and never fills."""

    def __init__(self) -> None:
        super().__init__()
        self.offered: list[Frame] = []
        self.put_frames: list[Frame] = []

    def offer(self, frame: Frame, inlet: Inlet | None = None) -> None:
        """Records."""
        self.offered.append(frame)

    def put(self, frame: Frame, stop: StopEvent, inlet: Inlet | None = None) -> bool:
        """Records."""
        self.put_frames.append(frame)
        return True


class ReaderHarness:
    """A reader with scripted cameras: each opening takes the next script."""

    def __init__(
        self,
        environment: Clock,
        stop: StopEvent,
        source: str,
        *,
        size_error: Callable[[int, int], str | None] = lambda _width, _height: None,
        settings_at: SettingsAt | None = None,
        **options: Any,
    ) -> None:
        """`size_error`, `settings_at`: as for `Reader`; `options`: more of the camera's section."""
        self.mailbox = Recorder()
        self.cameras: list[Camera | BaseException] = []
        self.stop = stop
        config = CameraConfig.read({"id": "top", "source": source, **options})
        self.reader = Reader(
            config,
            self._open,
            self.mailbox,
            environment,
            stop,
            size_error=size_error,
            settings_at=settings_at,
        )

    def _open(self) -> Camera:
        if not self.cameras:
            self.stop.set()
            raise CameraError("no camera is left in the script")
        camera = self.cameras.pop(0)
        if isinstance(camera, BaseException):
            raise camera
        return camera

    def run(self, *cameras: Camera | BaseException) -> list[Frame]:
        """Runs until the script ends; returns the frames of the script."""
        self.cameras = list(cameras)
        self.reader.run()
        frames = self.mailbox.offered + self.mailbox.put_frames
        return [f for f in frames if f.fault != "no camera is left in the script"]


MakeHarness = Callable[..., ReaderHarness]


def lost() -> CameraError:
    """The error of a camera with a pulled cable."""
    return CameraError("cam: delivers no picture; check the cable and the power")


def seqs(frames: Iterable[Frame]) -> list[int]:
    """Their numbers."""
    return [frame.seq for frame in frames]
