"""From a driven camera's `source` to the class that reads it, inside the camera's own process."""

from edge.capture.camera import DrivenCamera
from edge.config import CameraConfig


def open_driver(config: CameraConfig) -> DrivenCamera:
    """Opens the camera; imports only what its kind needs. Raises CameraError."""
    match config.kind:
        case "v4l2":
            from edge.capture.v4l2 import V4L2Camera

            return V4L2Camera(config)
        case "rtsp":
            from edge.capture.rtsp import RTSPCamera

            return RTSPCamera(config)
        case "http" | "https":
            from edge.capture.mjpeg import MJPEGCamera

            return MJPEGCamera(config)
        case "gstreamer":
            from edge.capture.gstreamer import GStreamerCamera

            return GStreamerCamera(config)
        case "picamera":
            from edge.capture.picamera import PiCamera

            return PiCamera(config)
        case _:
            from edge.capture.pylon import PylonCamera

            return PylonCamera(config)
