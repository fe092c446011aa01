"""Delivery: builds the outbox, its writer, the publisher, the snapshot sender and the embedded
broker from config.yaml, starts them and stops them."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from edge.config import Config
from edge.core.clock import Clock
from edge.core.threads import start_thread
from edge.mqtt.connection import PahoConnection
from edge.mqtt.event_queue import EventQueue
from edge.mqtt.events import Connection, Event, MqttVersion, OnRequest
from edge.mqtt.publisher import Publisher
from edge.mqtt.snapshots import SnapshotSender
from edge.storage import (
    OnCommit,
    OutboxStore,
    OutboxWriter,
    ProcessedItems,
    RebuildHooks,
    Remember,
    SendQueue,
)

if TYPE_CHECKING:
    from edge.mqtt.embedded_broker import EmbeddedBroker

log = logging.getLogger(__name__)

DRAIN_S = 10.0
_JOIN_S = 5.0


class DeliveryService:
    """Stores and sends verdicts. Its construction opens the outbox."""

    def __init__(
        self,
        config: Config,
        session: str,
        clock: Clock,
        *,
        on_commit: OnCommit = lambda _verdicts, _numbers: None,
        remember: Remember = lambda _body: None,
        on_rebuild_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Raises EdgeInspectError when the outbox cannot be opened.

        on_commit: called on the writer's thread with stored verdicts and their numbers.
        remember: called on that thread with the bodies of the same verdicts.
        on_rebuild_progress: called repeatedly while a damaged outbox is rebuilt here.
        """
        self._config = config
        outbox = config.outbox
        max_bytes = int(outbox.max_mb * 2**20)
        self._store = OutboxStore(
            outbox.path,
            max_bytes,
            outbox.max_age_h * 3600,
            clock,
            hooks=RebuildHooks(on_rebuild_progress),
        )
        self._threads: dict[str, threading.Thread] = {}
        with ExitStack() as undo:  # whatever fails, the outbox is released
            undo.callback(self._store.close)
            self._build(config, session, clock, on_commit, remember)
            undo.pop_all()

    def _build(
        self,
        config: Config,
        session: str,
        clock: Clock,
        on_commit: OnCommit,
        remember: Remember,
    ) -> None:
        outbox, max_bytes = config.outbox, int(config.outbox.max_mb * 2**20)
        events = EventQueue(clock.tick)  # the writer and the broker wake the publisher through it
        mqtt = config.mqtt
        self._broker = (
            build_embedded_broker(mqtt.host, mqtt.effective_port, events.wake)
            if mqtt.embedded
            else None
        )
        self.writer = OutboxWriter(
            self._store,
            clock,
            durability=outbox.durability,
            window_s=outbox.window_ms / 1000,
            on_sendable=events.wake,
            on_commit=on_commit,
            remember=remember,
        )
        folders = sum(camera.kind == "folder" for camera in config.cameras)
        reader, writer = self._store.new_reader(), self.writer
        self.receipts = ProcessedItems(
            reader, writer.forget, max_bytes, folders, in_memory=writer.holds_receipt
        )
        self.publisher = Publisher(
            config=config,
            session=session,
            events=events,
            rows=self.writer.send_queue,
            acks=self.writer,
            clock=clock,
            connect=self._connect,
            may_send=self._has_subscriber,
        )
        self.pictures = SnapshotSender(
            config.mqtt.snapshots, config.topic, clock, self._connect_for_snapshots
        )

    def start(self, on_request: OnRequest) -> None:
        """`on_request` is called with requests, on the connection's thread. Raises EdgeInspectError
        when the port of the embedded broker is taken."""
        if self._broker is not None:
            self._broker.start()
        for name, run in (
            ("publisher", partial(self.publisher.run, on_request)),
            ("outbox", self.writer.run),
            ("pictures", self.pictures.run),
        ):
            self._threads[name] = start_thread(name, run, vital=name != "pictures")

    @property
    def rows(self) -> SendQueue:
        """The rows that wait for the broker; for the main thread, before `start`."""
        return self.writer.send_queue

    def adopt(self, config: Config, *, broker: bool, snapshots: bool) -> None:
        """Applies a changed config.yaml; `broker` and `snapshots` say what has changed."""
        self._config = config
        if broker:
            self.publisher.reconfigure(config)
        if broker or snapshots:
            self.pictures.adopt(config.mqtt.snapshots)

    def drain(self) -> list[str]:
        """Stops in the direction of the data: stores all verdicts, sends for at most `DRAIN_S`,
        publishes `stopped`, stores the last acknowledgements. Returns the threads that hang.

        After a start that failed, threads may be missing.
        """
        self.writer.flush(_JOIN_S if "outbox" in self._threads else 0.0)
        self.pictures.close()
        self.publisher.close(DRAIN_S, "stopped by request")
        self._join("publisher", DRAIN_S + _JOIN_S)
        self.writer.close()
        self._join("outbox", DRAIN_S)
        self._join("pictures", _JOIN_S)
        stats = self.writer.stats()
        log.info(
            "stopped: %d verdicts stored, %d acknowledged, %d wait in the outbox",
            stats.stored,
            stats.acked,
            stats.rows,
        )
        return [name for name, thread in self._threads.items() if thread.is_alive()]

    def _join(self, name: str, timeout: float) -> None:
        if name in self._threads:
            self._threads[name].join(timeout)

    def close(self) -> None:
        """Closes the files and stops the embedded broker."""
        if self._broker is not None:
            self._broker.stop()
        self.writer.send_queue.close()
        self.receipts.close()
        self._store.close()

    def _connect(
        self,
        version: MqttVersion,
        will: tuple[str, bytes],
        on_event: Callable[[Event], None],
        retain: bool,
    ) -> Connection:
        config, broker = self._config, self.publisher.broker
        return PahoConnection(
            config.mqtt, config.client_id, version, will, on_event, broker=broker, retain=retain
        )

    def _connect_for_snapshots(self, on_event: Callable[[Event], None]) -> Connection:
        config, broker, version = self._config, self.publisher.broker, self.publisher.version
        client_id = f"{config.client_id}-pictures"
        return PahoConnection(config.mqtt, client_id, version, None, on_event, broker=broker)

    def _has_subscriber(self) -> bool:
        """The embedded broker keeps nothing: without a subscriber, verdicts stay in the outbox."""
        topic = f"{self._config.topic}/result"
        return self._broker is None or self._broker.subscribers.any(topic)


def build_embedded_broker(
    host: str, port: int, on_change: Callable[[], None] = lambda: None
) -> "EmbeddedBroker":
    """The broker inside the daemon, not started yet. Its packages are optional, so only this
    function imports it. `on_change`: called when a client has connected or subscribed."""
    from edge.mqtt.embedded_broker import EmbeddedBroker

    return EmbeddedBroker(host, port, on_change)
