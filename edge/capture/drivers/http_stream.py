"""Opens an HTTP camera's stream and reads its body, with the time when each byte arrived."""

import fcntl
import http.client
import re
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable
from email.message import Message
from string import punctuation
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from edge.capture.drivers.credentials import split_source
from edge.capture.drivers.http_login import Login, LoginError
from edge.config import CameraConfig, mask_credentials
from edge.core.errors import CameraError

_CHUNK = 262_144
_MAX_ANSWERS = 10  # redirections and questions for a login before the stream
_OPEN_SHARE = 0.8
_MAX_CHUNK_LINE = 4096
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_FULL_SHARE = 4  # a buffer that is a quarter full may have been full: its size counts overhead too
_CAUGHT_UP_S = 0.02  # a camera with pictures in store sends without such a pause
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_TIMESPEC = struct.Struct("@qq")

_NOT_TRUSTED = frozenset({18, 19, 20, 21})  # X509_V_ERR_…: self-signed, or the issuer is unknown
_WRONG_NAME = frozenset({62, 64})


class _Unbuffered(http.client.HTTPResponse):
    """Reads the head and nothing of the body."""

    def __init__(self, sock: socket.socket, *arguments: object, **options: object) -> None:
        super().__init__(sock, *arguments, **options)  # type: ignore[arg-type]
        self.fp.close()
        self.fp = sock.makefile("rb", buffering=0)  # type: ignore[assignment]


class HTTPStream:
    """One open stream. `headers` are those of the answer."""

    def __init__(self, config: CameraConfig) -> None:
        """Logs in and follows redirections. Raises CameraError, without the password."""
        self._name = mask_credentials(config.source)
        self._timeout_s = config.timeout_s
        self._tls = config.tls
        self._context: ssl.SSLContext | None = None
        # shorter than the daemon waits, so that this process can say what is missing
        self._open_timeout_s = config.open_timeout_s * _OPEN_SHARE
        address, credentials = split_source(config)
        self._socket, answer = self._open(address, Login(credentials))
        self._answer = answer
        self.headers: Message = answer.headers
        self._plain = not isinstance(self._socket, ssl.SSLSocket)
        self._space = memoryview(bytearray(_CHUNK))
        self._arrived = time.monotonic()  # of the newest byte that was read
        self._behind = False  # more may wait in the camera, because the buffer here was full
        self._chunks = ChunkDecoder() if answer.chunked else None
        self._started = False

    def receive(self) -> tuple[bytes | memoryview, float]:
        """The next bytes of the body, valid until the next call, and since when they may have been
        here: monotonic seconds, never later than their true arrival. Raises CameraError at the
        end."""
        try:
            while self._chunks is None or not self._chunks.ended:
                count, arrived = self._receive()
                if not count:
                    break
                data = self._space[:count]
                if self._chunks is None:
                    return data, arrived
                if body := self._chunks.decode(bytes(data)):
                    return body, arrived
        except (OSError, ValueError) as error:
            raise CameraError(
                f"{self._name}: delivers no picture ({_reason(error)}); check the cable and the "
                "power"
            ) from None
        raise CameraError(f"{self._name}: the stream has ended; check the camera or the server")

    def started(self) -> None:
        """The first picture is here: from now on `timeout_s` counts."""
        if not self._started:
            self._started = True
            self._socket.settimeout(self._timeout_s)

    def close(self) -> None:
        """May be called twice."""
        self._answer.close()
        self._socket.close()

    def _receive(self) -> tuple[int, float]:
        pending, before = self._pending(), time.monotonic()
        if self._plain:
            count, ancillary, _flags, _address = self._socket.recvmsg_into([self._space], 64)
        else:
            count, ancillary = self._socket.recv_into(self._space), []
        now = time.monotonic()
        waited_s = 0.0 if pending else now - before
        if pending * _FULL_SHARE >= self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF):
            self._behind = True
        elif waited_s >= _CAUGHT_UP_S:
            self._behind = False
        # Bytes that were here already came at any time after the bytes that were read before them.
        oldest = self._arrived
        if not self._behind:
            newest = oldest if pending else now
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
                    newest = now - (time.time() - seconds - nanoseconds / 1e9)
            # A step of the clock must not move it outside the bounds that are known without it.
            self._arrived = min(now, max(newest, oldest if pending else before))
            if not pending:
                oldest = self._arrived
        return count, oldest

    def _pending(self) -> int:
        """The number of bytes that are here and were not read."""
        pending = fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4))
        decrypted = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        return int.from_bytes(pending, "little") + decrypted

    def _open(self, address: str, login: Login) -> tuple[socket.socket, http.client.HTTPResponse]:
        first = urlsplit(address)
        authorization: bytes | None = None
        for _ in range(_MAX_ANSWERS):
            try:
                place = urlsplit(quote(address, safe=punctuation))
                target = (place.path or "/") + (f"?{place.query}" if place.query else "")
                connection = self._connect(place)
                opened = connection.sock
                connection.putrequest("GET", target, skip_accept_encoding=True)
                if authorization is not None:
                    connection.putheader("Authorization", authorization)
                connection.putheader("Connection", "close")
                connection.endheaders()
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._cannot_be_opened(_reason(error)) from None
            if answer.status == http.client.OK:
                return opened, answer
            answer.close()
            connection.close()
            location = answer.headers.get("Location")
            if answer.status in _REDIRECTIONS and location:
                address, authorization = _joined(address, location), None
                if not address.startswith(("http://", "https://")):
                    break
            elif answer.status == http.client.UNAUTHORIZED:
                self._check_same_host(first, place)
                asked = answer.headers.get_all("WWW-Authenticate") or []
                try:
                    authorization = login.answer(asked, "GET", target)
                except LoginError as error:
                    raise CameraError(f"{self._name}: {error}") from None
            else:
                raise CameraError(
                    f"{self._name}: cannot be opened (HTTP {answer.status} {answer.reason}); check "
                    "the address and credentials_file"
                )
        raise self._cannot_be_opened("it redirects again and again, or asks for one login after "
                                     "the other; check the address")  # fmt: skip

    def _connect(self, place: SplitResult) -> http.client.HTTPConnection:
        """Raises OSError, HTTPException, ValueError, CameraError."""
        host, port, timeout = place.hostname or "", place.port, self._open_timeout_s
        connection: http.client.HTTPConnection
        if place.scheme == "https":
            self._context = self._context or self._tls_context()
            connection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        connection.response_class = _Unbuffered
        connection.connect()
        if place.scheme == "http":
            connection.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # `ca` may be the camera's own certificate, signed by an authority that is not there
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        tls = self._tls
        if tls is not None and tls.insecure_skip_hostname:
            context.check_hostname = False
        if tls is None or tls.ca is None:
            context.load_default_certs()
            return context
        try:
            context.load_verify_locations(str(tls.ca))
        except OSError as error:  # SSLError too
            raise CameraError(
                f"{self._name}: tls.ca: {tls.ca} holds no certificate ({_reason(error)}); give the "
                "camera's certificate as a PEM file"
            ) from None
        return context

    def _check_same_host(self, first: SplitResult, place: SplitResult) -> None:
        """A password goes only to the host of `source`, and never from https to http."""
        if place.hostname != first.hostname or (place.scheme, first.scheme) == ("http", "https"):
            raise CameraError(
                f"{self._name}: redirects to {place.scheme}://{place.netloc.rpartition('@')[2]}, "
                "which asks for a login; write that address as source"
            )

    def _cannot_be_opened(self, reason: str) -> CameraError:
        return CameraError(f"{self._name}: cannot be opened ({reason})")


class ChunkDecoder:
    """Takes `Transfer-Encoding: chunked` off a body that arrives in pieces. A damaged size ends the
    body."""

    def __init__(self) -> None:
        self.ended = False
        self._line = bytearray()
        self._left = 0  # bytes of the present chunk
        self._read: Callable[[bytes, int], tuple[bytes, int]] = self._read_size

    def decode(self, data: bytes) -> bytes:
        """The body's bytes in this piece."""
        found, at = [], 0
        while at < len(data) and not self.ended:
            part, at = self._read(data, at)
            found.append(part)
        return b"".join(found)

    def _read_size(self, data: bytes, at: int) -> tuple[bytes, int]:
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or len(data)]
        if not end:
            self.ended = len(self._line) > _MAX_CHUNK_LINE
            return b"", len(data)
        size = bytes(self._line).split(b";")[0].strip()
        self._line.clear()
        if size:  # an empty line ends the chunk before
            self._left = int(size, 16) if _CHUNK_SIZE.fullmatch(size) else 0
            self.ended = self._left == 0
            self._read = self._read_data
        return b"", end

    def _read_data(self, data: bytes, at: int) -> tuple[bytes, int]:
        part = data[at : at + self._left]
        self._left -= len(part)
        if self._left == 0:
            self._read = self._read_size
        return part, at + len(part)


def _joined(address: str, location: str) -> str:
    try:
        return urljoin(address, location)
    except ValueError:
        return ""


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_reason(error)
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return "it speaks no TLS at this port; use http://"
        if error.reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
            return "it speaks only TLS older than 1.2; update its firmware"
        return f"TLS: {error.reason or error}"
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return " ".join(text.split())


def _certificate_reason(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _NOT_TRUSTED:
        fix = "save the camera's certificate as a PEM file, and name it under tls.ca"
    elif error.verify_code in _WRONG_NAME:
        fix = "use the certificate's name in source, or set tls.insecure_skip_hostname: true"
    else:
        fix = "renew it in the camera, and check the clocks of camera and box"
    return f"its certificate is not accepted: {error.verify_message.rstrip('.')}; {fix}"
