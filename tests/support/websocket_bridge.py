"""A WebSocket bridge before a broker without WebSockets, as a web server in a plant. Debian's
mosquitto is built without them."""

import asyncio
import contextlib
import ssl
import threading

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.mosquitto import free_port

_START_S = 20.0


class WebSocketBridge:
    """Accepts WebSockets on a loopback `port` and any path; `broker_port` is MQTT over TCP."""

    def __init__(self, broker_port: int, context: ssl.SSLContext | None = None) -> None:
        """Waits until it accepts connections. `context` adds TLS."""
        self.port = free_port()
        self.paths: list[str] = []
        self._broker_port, self._context = broker_port, context
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()])
        self._thread.start()
        assert self._ready.wait(_START_S)

    def close(self) -> None:
        """Ends all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_S)
        self._loop.close()

    async def _run(self) -> None:
        protocols = [Subprotocol("mqtt")]
        server = serve(
            self._handle, "127.0.0.1", self.port, subprotocols=protocols, ssl=self._context
        )
        async with server:
            self._ready.set()
            await self._stop.wait()

    async def _handle(self, box: ServerConnection) -> None:
        self.paths.append(box.request.path if box.request else "")
        reader, writer = await asyncio.open_connection("127.0.0.1", self._broker_port)

        async def to_box() -> None:
            while data := await reader.read(65536):
                await box.send(data)
            await box.close()

        back = asyncio.create_task(to_box())
        try:
            with contextlib.suppress(ConnectionError, ConnectionClosed):
                async for message in box:
                    writer.write(message if isinstance(message, bytes) else message.encode())
                    await writer.drain()
        finally:
            back.cancel()
            writer.close()
