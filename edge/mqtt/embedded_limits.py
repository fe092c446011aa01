"""Limits of the embedded broker for its clients: amqtt itself has none.

- a packet: MAX_PACKET bytes,
- the first packet: within CONNECT_S,
- a client that does not read: disconnected after STALLED_S, so that little waits for it,
- the rate of a client: PACKETS_PER_S, BYTES_PER_S,
- clients: MAX_CLIENTS,
- retained messages of others: MAX_RETAINED topics and MAX_RETAINED_BYTES.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.plugins.base import BasePlugin

from edge.mqtt.request_router import TokenBucket

log = logging.getLogger(__name__)

MAX_CLIENTS = 100
MAX_PACKET = 17 * 2**20  # bytes; mqtt.snapshots.max_kb is at most 16 MB
CONNECT_S = 10.0
STALLED_S = 5.0
PACKETS_PER_S = 2000.0
BYTES_PER_S = 8 * 2**20
MAX_RETAINED = 1000
MAX_RETAINED_BYTES = 32 * 2**20
_FULL_S = 0.05
_SMALL = 4096  # bytes: PACKETS_PER_S limits these


class LimitedWriter(StreamWriterAdapter):  # type: ignore[misc]  # amqtt ships no types
    """The socket to one client."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer)
        self._stream = writer

    async def drain(self) -> None:
        """Waits until the client has read enough. Disconnects one that does not."""
        try:
            await asyncio.wait_for(super().drain(), STALLED_S)
        except TimeoutError:
            self.drop(f"it has not read for {STALLED_S:g} s")
            raise ConnectionResetError("the client does not read") from None

    def drop(self, why: str) -> None:
        """Disconnects the client at once."""
        if not self._stream.transport.is_closing():
            log.warning("embedded broker: the client at %s is disconnected: %s", self.peer, why)
        self.is_closed = True
        self._stream.transport.abort()

    @property
    def peer(self) -> str:
        """The client's address and port."""
        host, port = self.get_peer_info() or ("?", 0)
        return f"{host}:{port}"


class LimitedReader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt ships no types
    """Reads one client's packets. amqtt reads a header byte by byte, then the rest at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: LimitedWriter) -> None:
        super().__init__(reader)
        self._writer = writer
        self._rate = TokenBucket(PACKETS_PER_S, time.monotonic)
        self._first = True

    async def read(self, n: int = -1) -> bytes:
        """As amqtt's. Raises ConnectionResetError for a packet that is too long, or when the first
        one does not come."""
        if n > MAX_PACKET:
            self._writer.drop(f"a packet of {n} bytes; at most {MAX_PACKET} are taken")
            raise ConnectionResetError("the packet is too long")
        while not self._rate.take():
            await asyncio.sleep(_FULL_S)  # the client's TCP window fills
        if not self._first:
            data = bytes(await super().read(n))
            if n > _SMALL:
                await asyncio.sleep(n / BYTES_PER_S)
            return data
        try:
            data = bytes(await asyncio.wait_for(super().read(n), CONNECT_S))
        except TimeoutError:
            self._writer.drop(f"it has sent nothing for {CONNECT_S:g} s")
            raise ConnectionResetError("no CONNECT") from None
        self._first = False
        return data


class MessageLimits(BasePlugin[Any]):  # type: ignore[misc]  # amqtt ships no types
    """Bounds amqtt's retained messages. amqtt calls its methods by their names."""

    @dataclass
    class Config:
        """None."""

    async def on_broker_retained_message(
        self, *, client_id: str | None, retained_message: Any
    ) -> None:
        """amqtt's event, after it has kept a message for a topic, or for an absent client."""
        kept = self.context.retained_messages
        size = sum(len(message.data) for message in kept.values())
        if client_id is None and (len(kept) > MAX_RETAINED or size > MAX_RETAINED_BYTES):
            kept.pop(retained_message.topic, None)
            log.warning(
                "embedded broker: too many retained messages; the one on %.100r is not kept",
                retained_message.topic,
            )
