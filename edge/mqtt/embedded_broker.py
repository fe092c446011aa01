"""A broker inside the daemon, for a box that has none: amqtt, MQTT 3.1.1, on one thread.

Its PUBACK does not say that the plant has a verdict. So `SubscriberTable` keeps the subscriptions,
and verdicts stay in the outbox until a client subscribes.

amqtt sets no limits. So the connections are accepted here (amqtt's external listener), by
`LimitedReader` and `LimitedWriter`, and `MessageLimits` bounds what amqtt keeps.
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
from functools import partial
from typing import Any

from paho.mqtt.client import topic_matches_sub

from edge.core.errors import EdgeInspectError, MissingPartError
from edge.core.threads import NamedThread

try:
    from amqtt.broker import Broker
    from amqtt.plugins.base import BasePlugin

    from edge.mqtt.embedded_limits import MAX_CLIENTS, LimitedReader, LimitedWriter, MessageLimits
except ImportError as error:
    raise MissingPartError(
        "mqtt.embedded: true needs the embedded broker; "
        "run in edge-inspect's folder: pip install '.[broker]'"
    ) from error

log = logging.getLogger(__name__)

_START_S = 10.0
_REMEMBERED = 100  # disconnected clients whose subscriptions are kept
_STOP_S = 5.0


class SubscriberTable:
    """The connected clients and their subscriptions. Safe between threads."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change`: called on the broker's thread when a client has connected or subscribed."""
        self._on_change = on_change
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._patterns: dict[str, set[str]] = {}

    def any(self, topic: str) -> bool:
        """Whether a connected client has subscribed to `topic`."""
        with self._lock:
            return any(
                topic_matches_sub(pattern, topic)
                for client in self._connections
                for pattern in self._patterns.get(client, ())
            )

    def connected(self, client: str, *, clean: bool) -> None:
        """A client connected; a session that is new or clean has no subscriptions."""
        with self._lock:
            # a counter, because a takeover connects before the old connection ends
            self._connections[client] += 1
            if clean:
                self._patterns.pop(client, None)
        self._on_change()

    def disconnected(self, client: str) -> None:
        """A client disconnected. The subscriptions of the last ones are kept, for those with a
        persistent session."""
        with self._lock:
            self._connections[client] -= 1
            if self._connections[client] > 0:
                return
            del self._connections[client]
            if (patterns := self._patterns.pop(client, None)) is not None:
                self._patterns[client] = patterns  # the newest is the last
            while len(self._patterns) > len(self._connections) + _REMEMBERED:
                gone = next(name for name in self._patterns if name not in self._connections)
                del self._patterns[gone]

    def subscribed(self, client: str, pattern: str) -> None:
        """A client subscribed."""
        with self._lock:
            self._patterns.setdefault(client, set()).add(pattern)
        self._on_change()

    def unsubscribed(self, client: str, pattern: str) -> None:
        """A client unsubscribed."""
        with self._lock:
            self._patterns.get(client, set()).discard(pattern)


class SubscriberPlugin(BasePlugin[Any]):  # type: ignore[misc]  # amqtt ships no types
    """Reports amqtt's events to `SubscriberTable`. amqtt builds it from its configuration and
    calls its methods by their names, with these keywords."""

    @dataclass
    class Config:
        """`subscribers`: the SubscriberTable."""

        subscribers: Any = None

    async def on_broker_client_connected(self, *, client_id: str, client_session: Any) -> None:
        """amqtt's event. amqtt forgets a session a second after its client has left."""
        self.config.subscribers.connected(client_id, clean=not client_session.parent)

    async def on_broker_client_disconnected(self, *, client_id: str, **_: Any) -> None:
        """amqtt's event."""
        self.config.subscribers.disconnected(client_id)

    async def on_broker_client_subscribed(self, *, client_id: str, topic: str, **_: Any) -> None:
        """amqtt's event."""
        self.config.subscribers.subscribed(client_id, topic)

    async def on_broker_client_unsubscribed(self, *, client_id: str, topic: str) -> None:
        """amqtt's event."""
        self.config.subscribers.unsubscribed(client_id, topic)


class EmbeddedBroker:
    """Starts before the publisher and stops after it. It stores nothing: the outbox does."""

    def __init__(self, host: str, port: int, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change`: called on the broker's thread when a client has connected or subscribed."""
        self.subscribers = SubscriberTable(on_change)
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None
        self._clients: set[asyncio.Task[Any]] = set()
        self._thread = NamedThread("broker", self._run, again=False)

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
            self._thread.join(_STOP_S)

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
        self._loop.set_exception_handler(_log_fault)
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        for name in ("amqtt", "transitions"):  # amqtt logs a traceback for each missing PUBACK
            logging.getLogger(name).setLevel(logging.CRITICAL)
        plugin = f"{SubscriberPlugin.__module__}.{SubscriberPlugin.__qualname__}"
        config: dict[str, Any] = {
            "listeners": {"default": {"type": "external"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
                plugin: {"subscribers": self.subscribers},
                f"{MessageLimits.__module__}.{MessageLimits.__qualname__}": {},
            },
        }
        broker = Broker(config, loop=self._loop)
        try:
            await broker.start()
            server = await asyncio.start_server(
                partial(self._accept, broker), self._host, self._port, reuse_address=True
            )
        except Exception as error:  # noqa: BLE001  outermost function of the thread; `start` raises
            self._fault = error
            return
        finally:
            self._started.set()
        await self._stop.wait()
        server.close()
        await broker.shutdown()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(
        self, broker: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hands a connection to amqtt until it ends."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= MAX_CLIENTS:
            log.warning("embedded broker: more than %d clients; one is refused", MAX_CLIENTS)
            writer.transport.abort()
            return
        self._clients.add(task)
        try:
            limited = LimitedWriter(writer)
            await broker.external_connected(LimitedReader(reader, limited), limited, "default")
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            log.debug("embedded broker: %s", error)
        finally:
            self._clients.discard(task)
            writer.transport.abort()


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs what amqtt raises over a client's packets in one line: a client may send anything."""
    fault = context.get("exception") or context.get("message")
    log.debug("embedded broker: %.300r", fault)
