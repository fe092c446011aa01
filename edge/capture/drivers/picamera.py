"""`picamera:0`: the Raspberry Pi's camera at the ribbon cable, through picamera2."""

import time
from typing import Any

import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera, Pixels
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge.core.errors import CameraError

_INSTALL = (
    "run: sudo apt-get install python3-picamera2 (Raspberry Pi OS); a virtual environment sees it "
    "when it was made with --system-site-packages"
)


class PiCamera(DrivenCamera):
    """The camera with the number that `rpicam-hello --list-cameras` shows.

    `controls` are libcamera's, by name: ExposureTime, AnalogueGain, AwbEnable, LensPosition …
    """

    def __init__(self, config: CameraConfig) -> None:
        """Opens, configures and starts the camera. Raises CameraError."""
        try:
            from picamera2 import Picamera2
        except ImportError:
            raise CameraError(f"{config.source}: picamera2 is not installed; {_INSTALL}") from None
        self._name = config.source
        if not config.rest.isdigit():
            raise CameraError(f"{self._name}: must be a number, as picamera:0")
        self._request: Any = None
        try:
            self._camera: Any = Picamera2(int(config.rest))
        except (IndexError, RuntimeError) as error:
            raise CameraError(
                f"{self._name}: cannot be opened ({error}); check the ribbon cable, and that no "
                "other program holds it"
            ) from None
        controls: dict[str, bool | int | float | str] = dict(config.controls)
        if config.fps is not None:
            controls["FrameRate"] = config.fps
        size = {"size": (config.width, config.height)} if config.width and config.height else {}
        try:
            # libcamera's RGB888 lies in memory as blue, green, red.
            video = self._camera.create_video_configuration(
                main={"format": "RGB888", **size}, controls=controls, queue=False
            )
            self._camera.configure(video)
            self._camera.start()
        except (RuntimeError, ValueError, KeyError) as error:
            self._camera.close()
            raise CameraError(f"{self._name}: does not take its settings ({error})") from None

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  libcamera cannot be interrupted
        self._release()
        try:
            self._request = self._camera.capture_request()
        except RuntimeError as error:
            raise CameraError(f"{self._name}: is lost ({error}); check the ribbon cable") from None
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:  # noqa: ARG002  picamera2 makes its own array
        pixels = np.asarray(self._request.make_array("main"), np.uint8)
        stamp = self._request.get_metadata().get("SensorTimestamp")
        taken = None
        if stamp:  # nanoseconds of CLOCK_BOOTTIME, which also runs during suspend
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - stamp / 1e9
            taken = time.monotonic() - max(0.0, age)
        return CameraRead(pixels, captured_tick=taken)

    def close(self) -> None:
        self._release()
        self._camera.close()

    def _release(self) -> None:
        if self._request is not None:
            self._request.release()
            self._request = None
