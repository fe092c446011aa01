"""`gstreamer:PIPELINE`: every source of GStreamer, through its Python binding from Debian."""

import time
from typing import Any

import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera, Pixels
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge.core.errors import CameraError

_SINK = (
    " ! videoconvert ! video/x-raw,format=BGR"
    " ! appsink name=edge_inspect max-buffers=1 drop=true sync=false"
)
_INSTALL = (
    "run: sudo apt-get install python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good; a virtual environment sees them when it was made with "
    "--system-site-packages"
)


class GStreamerCamera(DrivenCamera):
    """PIPELINE is as for gst-launch-1.0, without a sink: its last element must give raw video."""

    def __init__(self, config: CameraConfig) -> None:
        """Starts the pipeline. Raises CameraError with GStreamer's message."""
        try:
            import gi

            gi.require_version("Gst", "1.0")
            from gi.repository import GLib, Gst
        except (ImportError, ValueError):
            raise CameraError(
                f"gstreamer: GStreamer's Python binding is not installed; {_INSTALL}"
            ) from None
        Gst.init(None)
        self._gst: Any = Gst
        self._timeout_s = config.timeout_s
        try:
            self._pipeline: Any = Gst.parse_launch(config.rest.strip().rstrip("!") + _SINK)
        except GLib.Error as error:
            raise CameraError(f"gstreamer: {error.message}; try it with gst-launch-1.0") from None
        self._sink: Any = self._pipeline.get_by_name("edge_inspect")
        self._bus: Any = self._pipeline.get_bus()
        self._sample: Any = None
        if self._pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            why = self._end_reason() or "the pipeline does not start"
            self.close()
            raise CameraError(f"gstreamer: {why}")

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  GStreamer keeps the time-out
        """The newest picture. Raises CameraError when the pipeline fails, ends or is silent."""
        self._sample = self._sink.emit("try-pull-sample", int(self._timeout_s * 1e9))
        if self._sample is not None:
            return True
        why = self._end_reason()
        if why is not None:
            raise CameraError(f"gstreamer: {why}")
        raise CameraError(f"gstreamer: no picture for {self._timeout_s:g} s", kind="silent")

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """That picture, copied once out of GStreamer's buffer."""
        format_ = self._sample.get_caps().get_structure(0)
        width, height = int(format_.get_value("width")), int(format_.get_value("height"))
        buffer = self._sample.get_buffer()
        done, mapped = buffer.map(self._gst.MapFlags.READ)
        if not done:
            return CameraRead(None, fault="gstreamer: a picture could not be read")
        try:
            data = np.frombuffer(mapped.data, np.uint8)
            stride = -(-width * 3 // 4) * 4  # GStreamer pads rows of BGR to four bytes
            if data.size < stride * (height - 1) + width * 3:
                return CameraRead(
                    None, fault=f"gstreamer: a picture came short ({data.size} bytes)"
                )
            rows = np.lib.stride_tricks.as_strided(
                data, (height, width, 3), (stride, 3, 1), writeable=False
            )
            if target is not None and target.shape == rows.shape:
                np.copyto(target, rows)
                pixels = target
            else:
                pixels = rows.copy()
        finally:
            buffer.unmap(mapped)
        return CameraRead(pixels, captured_tick=self._capture_tick(buffer))

    def close(self) -> None:
        self._sample = None
        self._pipeline.set_state(self._gst.State.NULL)

    def _capture_tick(self, buffer: Any) -> float | None:
        """When the buffer was taken, monotonic seconds."""
        clock = self._pipeline.get_clock()
        none = self._gst.CLOCK_TIME_NONE
        if clock is None or buffer.pts == none:
            return None
        running = clock.get_time() - self._pipeline.get_base_time()
        age: float = (running - buffer.pts) / 1e9
        return time.monotonic() - max(0.0, age)

    def _end_reason(self) -> str | None:
        """Why the pipeline has ended; None while it runs."""
        kinds = self._gst.MessageType.ERROR | self._gst.MessageType.EOS
        message = self._bus.pop_filtered(kinds)
        if message is None:
            return None
        if message.type == self._gst.MessageType.EOS:
            return "the stream has ended"
        error, _ = message.parse_error()
        return f"{message.src.get_name()}: {error.message}"
