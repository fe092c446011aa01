"""Refuses a packet by its stated length, before its body is read.

MQTT 5 sends the broker our Maximum Packet Size. MQTT 3.1.1 cannot, and paho-mqtt would hold a
packet of 120 MB three and a half times. paho asks its socket for as many bytes as the packet still
has, so the socket can refuse.
"""

import functools
from typing import Any

MAX_INCOMING = 131_072  # bytes: eight times the longest request that is read
_SHOWN = 300  # bytes of a refused packet that are read for its topic


class PacketTooLongError(OSError):
    """The broker sends a packet that is longer than we take. `topic`: of the message, as far as it
    can be read."""

    def __init__(self, size: int, topic: str) -> None:
        super().__init__(
            f"a message of {size} bytes on {topic or 'a topic'}; at most {MAX_INCOMING} are taken"
        )
        self.topic = topic


class _LimitedReads:
    """Goes before a socket's class."""

    __slots__ = ()

    def recv(self, size: int, *flags: int) -> bytes:
        """As the socket's. Raises PacketTooLongError."""
        inner: Any = super()
        data: bytes = inner.recv(min(size, _SHOWN) if size > MAX_INCOMING else size, *flags)
        if size > MAX_INCOMING:
            raise PacketTooLongError(size, _topic_of(data))
        return data


def limit_reads(sock: Any) -> None:
    """Makes an open socket, TLS socket or WebSocket refuse packets that are too long."""
    kind: Any = type(sock)
    sock.__class__ = _limited(kind)


@functools.cache
def _limited(kind: Any) -> Any:
    return type(f"Limited{kind.__name__}", (_LimitedReads, kind), {"__slots__": ()})


def _topic_of(start: bytes) -> str:
    """The topic at the start of a PUBLISH; empty when it is none."""
    topic = start[2 : 2 + int.from_bytes(start[:2], "big")]
    text = topic.decode("utf-8", "replace")
    return text if text.isprintable() else ""
