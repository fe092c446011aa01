"""`replay:` plays the pictures of a folder, or a video file, each exactly once and in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from edge.capture.camera import CameraRead, item_name
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.image import is_picture_name, open_picture

_VIDEO = (".avi", ".mkv", ".mov", ".mp4", ".mpg", ".mpeg", ".webm")


class ReplayCamera:
    """Pictures in the order of their paths, subfolders included, or the frames of a video."""

    live = False

    def __init__(self, path: Path, rate: Literal["max"] | float, loop: int, clock: Clock) -> None:
        """`rate`: frames/s. Raises CameraError when there is nothing to play."""
        self._interval = 0.0 if rate == "max" else 1.0 / rate
        self._clock = clock
        self._due = clock.tick()
        if path.is_dir():
            pictures = sorted(p for p in path.rglob("*") if p.is_file() and is_picture_name(p))
            if not pictures:
                raise CameraError(
                    f"replay: no .jpg, .png or .bmp picture in {path}; check the path"
                )
            self._reads = _pictures(path, pictures, loop)
        elif path.is_file() and path.suffix.lower() in _VIDEO:
            self._reads = _video(path, loop)
        elif path.is_file() and is_picture_name(path):
            self._reads = _pictures(path.parent, [path], loop)
        else:
            raise CameraError(
                f"replay: {path} is no folder of pictures, picture or video file; run `make demo` "
                "if it is the demo's, or check the path"
            )

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Waits until the next picture is due; a damaged one is a fault."""
        if stop.wait(max(0.0, self._due - self._clock.tick())):
            return None
        self._due = max(self._due + self._interval, self._clock.tick() - self._interval)
        return next(self._reads, None)

    def close(self) -> None:
        """Closes the video."""
        self._reads = iter(())


def _pictures(root: Path, pictures: list[Path], loop: int) -> Iterator[CameraRead]:
    named = [(path, item_name(path.relative_to(root).as_posix())) for path in pictures]
    for _ in range(loop):
        for path, item in named:
            try:
                yield CameraRead(None, item, encoded=open_picture(path))
            except PictureError as error:
                yield CameraRead(None, item, fault=str(error))


def _video(path: Path, loop: int) -> Iterator[CameraRead]:
    for turn in range(loop):
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            number = 0
            while True:
                taken, pixels = video.read()
                if not taken or pixels is None:
                    break
                number += 1
                yield CameraRead(np.asarray(pixels, np.uint8), f"{item_name(path.name)}#{number}")
            if number == 0 and turn == 0:
                raise CameraError(f"replay: {path} holds no frame that can be decoded")
        finally:
            video.release()
