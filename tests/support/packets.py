"""A small MQTT codec (3.1.1 and 5) for tests, to read packets and to answer some.

It is written from the standard, so that it shares no mistake with the client of the daemon.
"""

from collections.abc import Iterator
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP = 1, 2, 3, 4, 8, 9, 12, 13
_LARGEST = 16 * 2**20


class MalformedError(ValueError):
    """The bytes are not MQTT."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A parsed PUBLISH. `mid` is 0 for QoS 0."""

    topic: str
    qos: int
    mid: int
    payload: bytes


class Framer:
    """Splits a stream of bytes into packets with their headers."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The packets that these bytes complete. Raises MalformedError."""
        self._rest += data
        while (end := _end(self._rest)) is not None and len(self._rest) >= end:
            packet, self._rest = self._rest[:end], self._rest[end:]
            yield packet


def kind(packet: bytes) -> int:
    """The packet type, 1 to 15."""
    return packet[0] >> 4


def level_of(connect: bytes) -> int:
    """The protocol level in a CONNECT: 4 is 3.1.1, 5 is 5."""
    body = _body(connect)
    return body[2 + int.from_bytes(body[:2], "big")]


def open_publish(packet: bytes, level: int) -> Publish:
    """Parses a PUBLISH. Raises MalformedError."""
    body, qos = _body(packet), packet[0] >> 1 & 3
    try:
        end = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:end].decode("utf-8")
        mid = 0
        if qos:
            mid, end = int.from_bytes(body[end : end + 2], "big"), end + 2
        if level >= 5:
            length, size = _varint(body, end)
            end += size + length
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedError(f"an unreadable PUBLISH: {error}") from error
    return Publish(topic, qos, mid, body[end:])


def mid_of_puback(packet: bytes) -> int:
    """The packet id in a PUBACK."""
    return int.from_bytes(_body(packet)[:2], "big")


def puback(mid: int, level: int, reason: int = 0) -> bytes:
    """A PUBACK. Reasons exist only in version 5."""
    tail = bytes([reason, 0]) if level >= 5 and reason else b""
    return _packet(PUBACK << 4, mid.to_bytes(2, "big") + tail)


def connack(level: int, reason: int) -> bytes:
    """A CONNACK. `reason` is that of the client's version; 0 accepts."""
    return _packet(CONNACK << 4, bytes([0, reason]) + (b"\0" if level >= 5 else b""))


def connect(client: str, keepalive_s: int) -> bytes:
    """A CONNECT of version 3.1.1 for a persistent session."""
    return _packet(
        CONNECT << 4, _text("MQTT") + b"\x04\x00" + keepalive_s.to_bytes(2, "big") + _text(client)
    )


def subscribe(mid: int, pattern: str) -> bytes:
    """A SUBSCRIBE of version 3.1.1, QoS 1."""
    return _packet(SUBSCRIBE << 4 | 2, mid.to_bytes(2, "big") + _text(pattern) + b"\x01")


def pingreq() -> bytes:
    """A PINGREQ."""
    return _packet(PINGREQ << 4, b"")


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    size, length = bytearray(), len(body)
    while True:
        length, digit = length >> 7, length & 0x7F
        size.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([first, *size]) + body


def _body(packet: bytes) -> bytes:
    _length, size = _varint(packet, 1)
    return packet[1 + size :]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The value and its length in bytes. Raises IndexError when it is incomplete."""
    value = 0
    for digit in range(4):
        byte = data[at + digit]
        value |= (byte & 0x7F) << 7 * digit
        if not byte & 0x80:
            return value, digit + 1
    raise MalformedError("a length of more than four bytes")


def _end(data: bytes) -> int | None:
    if len(data) < 2:
        return None
    try:
        length, size = _varint(data, 1)
    except IndexError:
        return None
    if length > _LARGEST:
        raise MalformedError(f"a packet of {length} bytes")
    return 1 + size + length
