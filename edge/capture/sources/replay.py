"""`replay:` plays the pictures of a folder, or a video file, each exactly once and in order."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from edge.capture.camera import CameraRead, item_name
from edge.capture.sources.picture_file import open_picture_file
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.image import is_picture_name
from edge.core.regular_file import regular_status

log = logging.getLogger(__name__)

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
            pictures = _pictures_below(path)
            if not pictures:
                raise CameraError(
                    f"replay: no .jpg, .png or .bmp picture in {path}; check the path"
                )
            named = [(p, item_name(p.relative_to(path).as_posix())) for p in pictures]
            self._reads = _pictures(named, loop)
        elif path.is_file() and path.suffix.lower() in _VIDEO:
            self._reads = _video(path, loop)
        elif path.is_file() and is_picture_name(path):
            self._reads = _pictures([(path.resolve(), item_name(path.name))], loop)
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


def _pictures_below(folder: Path) -> list[Path]:
    """Regular files only: a link may lead to any file of the box."""
    pictures = sorted(path for path in folder.rglob("*") if is_picture_name(path))
    regular = [path for path in pictures if regular_status(path) is not None]
    if odd := sorted(set(pictures).difference(regular)):
        log.warning(
            "replay: %s: not played, and %d more like it: a link, a folder, a pipe or a device; "
            "copy the file itself",
            item_name(str(odd[0])),
            len(odd) - 1,
        )
    return regular


def _pictures(named: list[tuple[Path, str]], loop: int) -> Iterator[CameraRead]:
    for _ in range(loop):
        for path, item in named:
            try:
                yield CameraRead(None, item, encoded=open_picture_file(str(path)))
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
