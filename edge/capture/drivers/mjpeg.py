"""`http://…` and `https://…`: a stream of JPEGs, as network cameras send it."""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from edge.capture.camera import CameraRead, DrivenCamera, Pixels, decode_read
from edge.capture.drivers.credentials import split_source
from edge.config import CameraConfig, mask_credentials
from edge.core.clock import StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.image import examine_picture

_CHUNK = 65_536
_MAX_BYTES = 32_000_000

Answer = TypeVar("Answer", bytes, int)


class MJPEGCamera(DrivenCamera):
    """Reads the stream without OpenCV: notices damaged JPEGs, and decodes only requested ones."""

    gives_jpeg = True

    def __init__(self, config: CameraConfig) -> None:
        """Raises CameraError, naming the source without its password."""
        self._name = mask_credentials(config.source)
        address, credentials = split_source(config)
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if credentials is not None:
            passwords.add_password(None, address, *credentials)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # the camera is in the plant's network
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPDigestAuthHandler(passwords),
        )
        try:
            self._answer: http.client.HTTPResponse = opener.open(address, timeout=config.timeout_s)
        except urllib.error.HTTPError as error:
            error.close()
            raise CameraError(
                f"{self._name}: cannot be opened (HTTP {error.code} {error.reason}); check the "
                "address and credentials_file"
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CameraError(f"{self._name}: cannot be opened ({_reason(error)})") from None
        kind = self._answer.headers.get_content_type()
        if not kind.startswith("multipart/"):
            self.close()
            raise CameraError(
                f"{self._name}: sends {kind}, not an MJPEG stream (multipart/x-mixed-replace); "
                "look up the address of the stream in the camera's manual"
            )
        boundary = self._answer.headers.get_param("boundary") or ""
        self._boundary = b"--" + str(boundary).strip('"').removeprefix("--").encode()
        self._buffer = bytearray()
        self._picture: bytes | bytearray = b""

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  a socket read cannot be interrupted
        head = self._read_until(b"\r\n\r\n").lower()
        at = head.rfind(b"content-length:")
        digits = head[at + 15 :].split(b"\r\n")[0].strip() if at >= 0 else b""
        if digits.isdigit():
            self._picture = self._read_exactly(int(digits))
        else:
            self._picture = self._read_until(b"\r\n" + self._boundary)
            self._buffer[:0] = self._boundary
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:  # noqa: ARG002  the decoder has its own memory
        return decode_read(self.retrieve_encoded())

    def retrieve_encoded(self) -> CameraRead:
        try:
            return CameraRead(None, encoded=examine_picture(self._picture, self._name))
        except PictureError as error:
            return CameraRead(None, fault=str(error))

    def close(self) -> None:
        self._answer.close()

    def _read_exactly(self, count: int) -> bytearray:
        """Reads `count` bytes straight into their final memory: a JPEG may have half a megabyte."""
        self._check_length(count)
        picture = bytearray(count)
        have = min(count, len(self._buffer))
        with memoryview(self._buffer) as read, memoryview(picture) as view:
            view[:have] = read[:have]
            while have < count:
                have += self._receive(partial(self._answer.readinto, view[have:]))
        del self._buffer[:count]
        return picture

    def _read_until(self, mark: bytes) -> bytes:
        start = 0
        while (at := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark))
            self._read_more()
        before = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return before

    def _read_more(self) -> None:
        self._buffer += self._receive(partial(self._answer.read1, _CHUNK))
        self._check_length(len(self._buffer))

    def _receive(self, read: Callable[[], Answer]) -> Answer:
        """The answer of `read`. Raises CameraError when it fails, or the stream has ended."""
        try:
            answer = read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CameraError(
                f"{self._name}: delivers no picture ({_reason(error)}); check the cable and the "
                "power"
            ) from None
        if not answer:
            raise CameraError(f"{self._name}: the stream has ended; check the camera or the server")
        return answer

    def _check_length(self, count: int) -> None:
        if count > _MAX_BYTES:
            raise CameraError(
                f"{self._name}: {_MAX_BYTES} bytes without a picture; this is no MJPEG stream"
            )


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in timeout_s"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason}"
    return str(getattr(cause, "strerror", None) or cause)
