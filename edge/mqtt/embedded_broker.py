"""A broker inside the daemon, for a box that has none: amqtt, MQTT 3.1.1, in one thread.

A PUBACK from a broker in our own process says nothing about the plant. So `SubscriberTable` knows
who has
subscribed, and verdicts stay in the outbox until there is a subscriber.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import topic_matches_sub

from edge.core.errors import EdgeInspectError, MissingPartError
from edge.core.threads import NamedThread

try:
    from amqtt.broker import Broker
    from amqtt.plugins.base import BasePlugin
except ImportError as error:
    raise MissingPartError(
        "mqtt.embedded: true needs the embedded broker; "
        "run in edge-inspect's folder: pip install '.[broker]'"
    ) from error

_START_S = 10.0


class SubscriberTable:
    """Which clients are connected, and what they have subscribed to. Safe between threads."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called on the broker's thread when a client has come or subscribed."""
        self._on_change = on_change
        self._lock = threading.Lock()
        self._online: Counter[str] = Counter()
        self._filters: dict[str, set[str]] = {}

    def any(self, topic: str) -> bool:
        """Whether a connected client has subscribed to `topic`."""
        with self._lock:
            return any(
                topic_matches_sub(pattern, topic)
                for client, patterns in self._filters.items()
                if self._online[client] > 0
                for pattern in patterns
            )

    def connected(self, client: str, *, clean: bool) -> None:
        """A client came; with a clean session it has no subscriptions yet."""
        with self._lock:
            # counted, since a takeover connects the new one before the old one has gone
            self._online[client] += 1
            if clean:
                self._filters.pop(client, None)
        self._on_change()

    def disconnected(self, client: str) -> None:
        """A client went; a persistent session keeps its subscriptions for its return."""
        with self._lock:
            self._online[client] -= 1
            if self._online[client] <= 0:
                del self._online[client]

    def subscribed(self, client: str, pattern: str) -> None:
        """A client has subscribed."""
        with self._lock:
            self._filters.setdefault(client, set()).add(pattern)
        self._on_change()

    def unsubscribed(self, client: str, pattern: str) -> None:
        """A client has unsubscribed."""
        with self._lock:
            self._filters.get(client, set()).discard(pattern)


class SubscriberPlugin(BasePlugin[Any]):  # type: ignore[misc]  # amqtt ships no types
    """Reports amqtt's events to `SubscriberTable`. amqtt builds it from its configuration."""

    @dataclass
    class Config:
        """`listeners` is where the events go."""

        listeners: Any = None

    async def on_broker_client_connected(self, *, client_id: str, client_session: Any) -> None:
        """amqtt's event."""
        self.config.listeners.connected(client_id, clean=bool(client_session.clean_session))

    async def on_broker_client_disconnected(
        self,
        *,
        client_id: str,
        client_session: Any,  # noqa: ARG002  amqtt's signature
    ) -> None:
        """amqtt's event."""
        self.config.listeners.disconnected(client_id)

    async def on_broker_client_subscribed(
        self,
        *,
        client_id: str,
        topic: str,
        qos: int,  # noqa: ARG002  amqtt's signature
    ) -> None:
        """amqtt's event."""
        self.config.listeners.subscribed(client_id, topic)

    async def on_broker_client_unsubscribed(self, *, client_id: str, topic: str) -> None:
        """amqtt's event."""
        self.config.listeners.unsubscribed(client_id, topic)


class EmbeddedBroker:
    """Started before the publisher, stopped after it. It keeps nothing on disk: the outbox does."""

    def __init__(self, host: str, port: int, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called on the broker's thread when a client has come or subscribed."""
        self.listeners = SubscriberTable(on_change)
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
                "edge.mqtt.embedded_broker.SubscriberPlugin": {"listeners": self.listeners},
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
