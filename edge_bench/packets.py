"""Finds each PUBLISH in an MQTT byte stream: its end, its topic and its body."""

from collections.abc import Iterator
from dataclasses import dataclass

_CONNECT, _PUBLISH = 1, 3
_V5 = 5


@dataclass(frozen=True, slots=True)
class Publish:
    """One PUBLISH of a client. The body is not parsed."""

    topic: str
    body: bytes


class PublishParser:
    """Finds the PUBLISH packets in the bytes of one client, given in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._version = 0

    def feed(self, data: bytes) -> Iterator[Publish]:
        """The packets that `data` completes. Raises ValueError for bytes that are not MQTT."""
        self._buffer += data
        while (found := self._packet()) is not None:
            first, packet = found
            kind = first >> 4
            if kind == _CONNECT:
                name = int.from_bytes(packet[:2], "big")
                self._version = packet[2 + name]
            elif kind == _PUBLISH:
                yield self._publish(first, packet)

    def _packet(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        try:
            length, start = _varint(self._buffer, 1)
        except IndexError:
            return None
        if len(self._buffer) < start + length:
            return None
        first, packet = self._buffer[0], bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return first, packet

    def _publish(self, first: int, packet: bytes) -> Publish:
        end = 2 + int.from_bytes(packet[:2], "big")
        topic = packet[2:end].decode("utf-8")
        if first >> 1 & 3:  # QoS 1 and 2 have a packet id
            end += 2
        if self._version >= _V5:
            length, start = _varint(packet, end)
            end = start + length
        return Publish(topic, packet[end:])


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A number of up to four bytes, and its end. Raises IndexError when it is incomplete."""
    value = 0
    for shift in (0, 7, 14, 21):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError("not an MQTT stream: a length of more than four bytes")
