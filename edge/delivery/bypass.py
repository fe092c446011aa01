"""The bytes of a connection, between its socket and paho-mqtt, and the short way of a message.

paho builds several objects for each PUBLISH and more for each PUBACK, a third of all that the
daemon does for a verdict. So messages pass it by: here one is put together, sent, and its answer
told apart from all else that comes. Connecting, subscribing, receiving, pinging and ending stay
paho's, which sees a socket that is never full and never has half a packet.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

OnAnswer = Callable[[int, int], None]  # mid, code
LARGEST = 268_435_455  # bytes behind the length that MQTT can say
_FIRST_MID, _LAST_MID = 1024, 65535  # below are paho's, which needs a few for its subscriptions
_PUBLISH, _PUBLISH_RETAINED, _PUBACK = b"\x32", b"\x33", 0x40
_LONGEST_ANSWER = 2**16  # bytes; what is longer paho may look at
_AT_ONCE = 65_536  # bytes
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Bytes = bytes | bytearray | memoryview


class Bypass:
    """What paho takes for its socket. `read` and `recv` are for the connection's thread, `publish`
    for one other, `write` for both: the real socket never blocks."""

    def __init__(self, sock: Any, on_answer: OnAnswer, *, properties: bool) -> None:
        """`sock` is connected: a socket, a TLS one, or paho's for WebSockets. `on_answer` is called
        in `read`. `properties`: MQTT 5, whose packets have some."""
        self.raw = sock
        self._on_answer, self._properties = on_answer, properties
        # a TLS connection must not be read and written by two threads at once
        self._shared = type(sock) is socket.socket
        self._writing = threading.Lock()
        self._out: deque[Bytes] = deque()
        self._came = bytearray()  # not told apart yet
        self._theirs = bytearray()  # paho's, not fetched yet
        self._passing = 0  # so many more bytes are paho's
        self._all_theirs = self._ended = False
        self._fault: OSError | None = None
        self._awaited: set[int] = set()
        self._mid = _LAST_MID

    def publish(self, topic: bytes, body: bytes, *, retain: bool, properties: bytes) -> int:
        """Queues a PUBLISH with QoS 1, for the next `write`; the `mid` of its answer. `properties`
        with their length first, not for MQTT 3.1.1. Topic, properties and body are what MQTT
        allows, together at most LARGEST bytes."""
        while (mid := self._next_mid()) in self._awaited:
            pass  # at most a window of them
        self._awaited.add(mid)
        size = 4 + len(topic) + len(properties) + len(body)
        kind = _PUBLISH_RETAINED if retain else _PUBLISH
        head = kind + varint(size) + struct.pack("!H", len(topic))
        parts = head, topic, struct.pack("!H", mid), properties, body
        self._out.append(b"".join(parts))
        return mid

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._out)

    def write(self) -> None:
        """Writes as much as the socket takes. Raises OSError, with all that was not written
        still there."""
        with self._writing:
            self._write()

    def write_now(self) -> bool:
        """The same from another thread, where that is possible: whether all was written. What went
        wrong is for the connection's thread to find."""
        if not self._out:
            return True
        if not self._shared or not self._writing.acquire(blocking=False):
            return False
        try:
            self._write()
        except OSError:
            return False
        finally:
            self._writing.release()
        return not self._out

    def read(self) -> None:
        """Takes what has come; calls `on_answer` for every answer to a `publish`."""
        try:
            data = self.raw.recv(_AT_ONCE)
        except _NOT_NOW:
            return
        except OSError as error:
            self._fault = error
            return
        if not data:
            self._ended = True
        elif self._all_theirs:
            self._theirs += data
        else:
            self._came += data
            self._tell_apart()

    @property
    def has_theirs(self) -> bool:
        """Whether there is something for paho to fetch, be it the end."""
        return bool(self._theirs or self._ended or self._fault)

    # what paho calls

    def recv(self, most: int) -> bytes:
        """As a socket's that does not block."""
        if self._theirs:
            data = bytes(self._theirs[:most])
            del self._theirs[:most]
            return data
        if self._fault is not None:
            raise self._fault
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        """Takes all of it, for the next `write`."""
        self._out.append(bytes(data))
        return len(data)

    def fileno(self) -> int:
        """The real socket's."""
        return int(self.raw.fileno())

    def pending(self) -> int:
        """Bytes that TLS or WebSockets have taken off the socket, and `read` has not."""
        pending = getattr(self.raw, "pending", None)
        return int(pending()) if pending is not None else 0

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self.raw.setblocking(flag)

    def close(self) -> None:
        """Writes what it can, and closes. Nobody else is writing then: the file's number may be
        another's at once."""
        with self._writing:
            with contextlib.suppress(OSError, ValueError):
                self._write()
            self.raw.close()

    def _next_mid(self) -> int:
        self._mid = self._mid + 1 if self._mid < _LAST_MID else _FIRST_MID
        return self._mid

    def _write(self) -> None:
        while self._out:
            data = self._some()
            try:
                sent = self.raw.send(data)
            except _NOT_NOW:
                self._out.appendleft(data)
                return
            except OSError:
                self._out.appendleft(data)
                raise
            if sent < len(data):
                self._out.appendleft(memoryview(data)[sent:])
            if not sent:
                return  # WebSockets: the same once more when there is room

    def _some(self) -> Bytes:
        """Many small packets as one piece; what could not be written before comes first again, as
        TLS wants it."""
        first = self._out.popleft()
        if not self._out or len(first) >= _AT_ONCE:
            return first
        some, size = [first], len(first)
        while self._out and size < _AT_ONCE:
            some.append(self._out.popleft())
            size += len(some[-1])
        return b"".join(some)

    def _tell_apart(self) -> None:
        came, at, end = self._came, 0, len(self._came)
        while at < end:
            if self._passing:
                some = min(self._passing, end - at)
                self._theirs += came[at : at + some]
                self._passing -= some
                at += some
                continue
            found = length_at(came, at + 1)
            if found is None:
                break  # the rest of the length is still to come
            length, start = found
            if length < 0:  # no MQTT: paho says so
                self._all_theirs, self._passing = True, end - at
                continue
            if came[at] == _PUBACK and length <= _LONGEST_ANSWER:
                if start + length > end:
                    break
                if self._answers(came[start : start + length]):
                    at = start + length
                    continue
            self._passing = start + length - at
        del came[:at]

    def _answers(self, body: bytearray) -> bool:
        """Whether it is an answer of ours; what is not, or is malformed, is paho's to judge."""
        if len(body) < 2:
            return False
        mid, code = body[0] << 8 | body[1], 0
        if len(body) > 2:
            if not self._properties:
                return False
            code = body[2]
        if len(body) > 3:
            found = length_at(body, 3)
            if found is None or sum(found) != len(body):
                return False
        if mid not in self._awaited:
            return False
        self._awaited.discard(mid)
        self._on_answer(mid, code)
        return True


class Client(paho.Client):
    """paho's client over a `Bypass`, which is there from when it has connected."""

    bypass: Bypass | None = None

    def __init__(self, on_answer: OnAnswer, **options: Any) -> None:
        """`options` are paho's."""
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._on_answer = on_answer

    def _create_socket(self) -> Any:
        # The one place where paho lets its socket be another: no part of its documented interface,
        # so tests/edge/delivery/test_bypass.py holds paho to it.
        sock = super()._create_socket()
        # Nagle's algorithm holds a small packet back until the one before is acknowledged, which
        # the other side delays by up to 40 ms: an answer must not wait for that.
        with contextlib.suppress(OSError, AttributeError):
            plain: Any = getattr(sock, "_socket", sock)  # paho's wrapper for WebSockets
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        five = self.protocol == paho.MQTTv5
        self.bypass = Bypass(sock, self._on_answer, properties=five)
        return self.bypass


def varint(number: int) -> bytes:
    """MQTT's variable byte integer, seven bits a byte, the lowest first (MQTT 5, section 1.5.5)."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def length_at(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """A variable byte integer, and where what follows it begins; None: it is not all there. -1 for
    one of more than four bytes, which MQTT has not."""
    number = shift = 0
    for place in range(at, min(at + 4, len(data))):
        number |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return number, place + 1
        shift += 7
    return (-1, at) if len(data) >= at + 4 else None
