"""A broker inside the daemon, for a box that has none: amqtt, MQTT 3.1.1, in one thread."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from typing import Any

from edge.errors import EdgeInspectError, MissingPartError
from edge.threads import NamedThread

try:
    from amqtt.broker import Broker

    from edge.delivery.listeners import Listeners
except ImportError as error:
    raise MissingPartError(
        "mqtt.embedded: true needs the embedded broker; "
        "run in edge-inspect's folder: pip install '.[broker]'"
    ) from error

_START_S = 10.0


class EmbeddedBroker:
    """Started before the publisher, stopped after it. It keeps nothing on disk: the outbox does."""

    def __init__(self, host: str, port: int) -> None:
        """`listeners` tells who has subscribed to what."""
        self.listeners = Listeners()
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None
        self._thread = NamedThread("broker", self._run)

    def start(self) -> None:
        """Returns when clients can connect. Raises EdgeInspectError when the port is taken."""
        self._refuse_taken_port()
        self._thread.start()
        if not self._started.wait(_START_S) or self._fault is not None:
            raise EdgeInspectError(
                f"mqtt.embedded: the broker does not start on {self._host}:{self._port} "
                f"({self._fault or 'timeout'}); choose another mqtt.port"
            )

    def stop(self) -> None:
        """Ends the broker and its thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5.0)

    def _refuse_taken_port(self) -> None:
        try:
            with socket.create_server((self._host, self._port)):
                return
        except OSError as error:
            raise EdgeInspectError(
                f"mqtt.port: {self._host}:{self._port} cannot be used by the embedded broker "
                f"({os.strerror(error.errno or 0)}); stop the other program, choose another "
                "mqtt.port, or set mqtt.embedded: false to use the broker that is there"
            ) from error

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.ERROR)
        config: dict[str, Any] = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self._host}:{self._port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
                "edge.delivery.listeners.ListenersPlugin": {"listeners": self.listeners},
            },
        }
        broker = Broker(config, loop=self._loop)
        try:
            await broker.start()
        except Exception as error:  # noqa: BLE001  whatever it is, `start` reports it
            self._fault = error
            return
        finally:
            self._started.set()
        await self._stop.wait()
        await broker.shutdown()
