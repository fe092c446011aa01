"""`http://…` and `https://…`: a stream of JPEGs, as network cameras send it."""

from collections import deque

from edge.capture.camera import CameraRead, DrivenCamera, Pixels, decode_read
from edge.capture.drivers.clock_offset import ClockOffset
from edge.capture.drivers.http_stream import HTTPStream
from edge.capture.drivers.jpeg_splitter import MAX_BYTES, JPEGSplitter, NoPictureError, Part
from edge.config import CameraConfig, mask_credentials
from edge.core.clock import StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.image import examine_picture

_RAW_STREAMS = ("application/octet-stream", "video/")


class MJPEGCamera(DrivenCamera):
    """Reads the stream without OpenCV: notices damaged JPEGs, and decodes only requested ones.

    A picture is as old as its first byte: it was taken before that byte arrived.
    """

    gives_jpeg = True

    def __init__(self, config: CameraConfig) -> None:
        """Raises CameraError, naming the source without its password."""
        self._name = mask_credentials(config.source)
        self._stream = HTTPStream(config)
        headers = self._stream.headers
        self._notes: list[str] = []
        kind = headers.get_content_type() if "Content-Type" in headers else "none"
        if not kind.startswith("multipart/"):
            if not kind.startswith(_RAW_STREAMS) and kind != "none":
                self.close()
                raise CameraError(
                    f"{self._name}: sends {kind}, not an MJPEG stream (multipart/x-mixed-replace); "
                    "look up the address of the stream in the camera's manual"
                )
            self._notes.append(f"its Content-Type is {kind}, not multipart/x-mixed-replace")
        boundary = headers.get_param("boundary")
        self._splitter = JPEGSplitter(boundary if isinstance(boundary, str) else None)
        self._received = 0
        self._arrivals: deque[tuple[int, float]] = deque()  # end of a piece, when it arrived
        self._picture: Part | None = None
        self._tick: float | None = None
        self._offset = ClockOffset()
        self._last_stamp: float | None = None

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  a socket read cannot be interrupted
        try:
            while (part := self._splitter.take()) is None:
                data, arrived = self._stream.receive()
                self._received += len(data)
                self._arrivals.append((self._received, arrived))
                self._splitter.feed(data)
        except NoPictureError:
            raise CameraError(
                f"{self._name}: {MAX_BYTES} bytes without a picture; this is no MJPEG stream"
            ) from None
        self._stream.started()
        while self._arrivals and self._arrivals[0][0] <= part.start:
            self._arrivals.popleft()
        self._picture = part
        self._tick = self._capture_tick(part, self._arrivals[0][1])
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:  # noqa: ARG002  the decoder has its own memory
        return decode_read(self.retrieve_encoded())

    def retrieve_encoded(self) -> CameraRead:
        assert self._picture is not None
        try:
            picture = examine_picture(self._picture.data, self._name)
        except PictureError as error:
            return CameraRead(None, fault=str(error))
        return CameraRead(None, encoded=picture, captured_tick=self._tick)

    def take_notes(self) -> list[str]:
        notes, self._notes = self._notes + self._splitter.notes(), []
        return [f"{self._name}: {text}" for text in notes]

    def close(self) -> None:
        self._stream.close()

    def _capture_tick(self, part: Part, arrived: float) -> float:
        """By the arrival of the first byte; earlier when the camera's own time shows a delay."""
        stamp, last = part.stamp, self._last_stamp
        self._last_stamp = stamp
        if stamp is None or last is None or stamp == last:
            return arrived  # some cameras send a time that stands still
        return self._offset.capture_tick(stamp, arrived)
