"""Tries the brokers of config.yaml once, for `edge-inspect check`."""

import os
import time
from contextlib import closing

from edge.config import Config
from edge.core.errors import RefusedError
from edge.mqtt.connection import PahoConnection
from edge.mqtt.delivery import build_embedded_broker
from edge.mqtt.diagnostics import BrokerConnectionError, NotAcceptedError
from edge.mqtt.event_queue import EventQueue
from edge.mqtt.events import MqttVersion, await_connack


def check_broker(config: Config) -> str:
    """The brokers that accept this box. Raises EdgeInspectError with the refusals of the others."""
    mqtt = config.mqtt
    if mqtt.embedded:
        broker = build_embedded_broker(mqtt.host, mqtt.effective_port)
        broker.start()
        broker.stop()
        return f"embedded, {mqtt.host}:{mqtt.effective_port} is free"
    answers = [_try_versions(config, broker) for broker in mqtt.brokers]
    refusals = [why for why, accepted in answers if not accepted]
    if refusals:
        raise RefusedError("; ".join(refusals))
    # No test message is sent: consumers would take it for one of the daemon's.
    return "; ".join(text for text, _ in answers) + "; its ACL is not tried"


def _try_versions(config: Config, broker: tuple[str, int]) -> tuple[str, bool]:
    """The broker's address or its first refusal, and whether it accepts this box."""
    version = config.mqtt.version
    versions: tuple[MqttVersion, ...] = ("5", "3.1.1") if version == "auto" else (version,)
    first = ""
    for tried in versions:
        try:
            _connect(config, broker, tried)
        except BrokerConnectionError as error:
            first = first or str(error)
            if not (isinstance(error, NotAcceptedError) and error.wrong_version):
                break
        else:
            return f"{broker[0]}:{broker[1]}, MQTT {tried}", True
    return first, False


def _connect(config: Config, broker: tuple[str, int], version: MqttVersion) -> None:
    """Connects once and disconnects. Raises BrokerConnectionError."""
    events = EventQueue(time.monotonic)
    will = (f"{config.topic}/check", b"")
    # Not the daemon's client id: the broker would disconnect the running daemon.
    client_id = f"edge-inspect-check-{os.getpid()}"
    connection = PahoConnection(config.mqtt, client_id, version, will, events.put, broker=broker)
    with closing(connection):
        connection.open()
        await_connack(events.next, time.monotonic, lambda: False, f"{broker[0]}:{broker[1]}")
