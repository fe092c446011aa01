"""Who listens to the embedded broker. A PUBACK from a broker in our own process reaches nobody, so
verdicts stay in the outbox until somebody has subscribed to them."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amqtt.plugins.base import BasePlugin
from paho.mqtt.client import topic_matches_sub


class Listeners:
    """Which clients are connected, and what they have subscribed to. Safe between threads."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
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
        self.on_change()

    def disconnected(self, client: str) -> None:
        """A client went; a persistent session keeps its subscriptions for its return."""
        with self._lock:
            self._online[client] -= 1
            if self._online[client] <= 0:
                del self._online[client]

    def subscribed(self, client: str, pattern: str) -> None:
        """A client listens."""
        with self._lock:
            self._filters.setdefault(client, set()).add(pattern)
        self.on_change()

    def unsubscribed(self, client: str, pattern: str) -> None:
        """A client listens no more."""
        with self._lock:
            self._filters.get(client, set()).discard(pattern)


class ListenersPlugin(BasePlugin[Any]):  # type: ignore[misc]  # amqtt ships no types
    """How amqtt tells `Listeners`; amqtt builds it from the broker's configuration."""

    @dataclass
    class Config:
        """`listeners` is the `Listeners` to tell."""

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
