"""The driver class for each kind of camera. The fork server imports it."""

from collections.abc import Callable

from edge.capture.camera import DrivenCamera
from edge.config import CameraConfig


def driver_of(kind: str) -> Callable[[CameraConfig], DrivenCamera]:
    """The class that opens a camera of that kind; its constructor raises CameraError.

    Imports only the module of that kind. A library that starts a thread or opens a device is
    imported later, by the constructor after the fork.
    """
    match kind:
        case "v4l2":
            from edge.capture.drivers.v4l2 import V4L2Camera

            return V4L2Camera
        case "rtsp":
            from edge.capture.drivers.rtsp import RTSPCamera

            return RTSPCamera
        case "http" | "https":
            from edge.capture.drivers.mjpeg import MJPEGCamera

            return MJPEGCamera
        case "gstreamer":
            from edge.capture.drivers.gstreamer import GStreamerCamera

            return GStreamerCamera
        case "picamera":
            from edge.capture.drivers.picamera import PiCamera

            return PiCamera
        case _:
            from edge.capture.drivers.pylon import PylonCamera

            return PylonCamera
