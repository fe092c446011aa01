"""From a driven camera's `source` to the class that reads it, inside the camera's own process."""

from collections.abc import Callable

from edge.capture.camera import DrivenCamera
from edge.config import CameraConfig


def driver_of(kind: str) -> Callable[[CameraConfig], DrivenCamera]:
    """What opens a camera of that kind, raising CameraError; imports only what the kind needs, and
    no library that starts threads or a device: those wait until the camera is opened."""
    match kind:
        case "v4l2":
            from edge.capture.v4l2 import V4L2Camera

            return V4L2Camera
        case "rtsp":
            from edge.capture.rtsp import RTSPCamera

            return RTSPCamera
        case "http" | "https":
            from edge.capture.mjpeg import MJPEGCamera

            return MJPEGCamera
        case "gstreamer":
            from edge.capture.gstreamer import GStreamerCamera

            return GStreamerCamera
        case "picamera":
            from edge.capture.picamera import PiCamera

            return PiCamera
        case _:
            from edge.capture.pylon import PylonCamera

            return PylonCamera
