"""Tries the brokers of config.yaml once, for `edge-inspect check`."""

import time
import uuid
from contextlib import closing

from edge.config import Config
from edge.core.clock import Clock
from edge.core.errors import RefusedError
from edge.mqtt.connection import PahoConnection
from edge.mqtt.delivery import build_embedded_broker
from edge.mqtt.diagnostics import BrokerConnectionError, NotAcceptedError
from edge.mqtt.event_queue import EventQueue
from edge.mqtt.events import MqttVersion, await_connack
from edge.mqtt.status import BirthAndWill


def check_broker(config: Config, *, daemon_runs: bool = False) -> str:
    """The brokers that accept this box. Raises EdgeInspectError with the refusals of the others.

    daemon_runs: the broker would disconnect the daemon for another client with its client id, so
        another one is used. Else the daemon's own, because a broker's ACL may go by it.
    """
    mqtt = config.mqtt
    if mqtt.embedded:
        broker = build_embedded_broker(mqtt.host, mqtt.effective_port)
        broker.start()
        broker.stop()
        return f"embedded, {mqtt.host}:{mqtt.effective_port} is free"
    client_id, note = config.client_id, ""
    if daemon_runs:
        client_id = f"{config.client_id}-check"
        note = (
            f"; asked under the client id {client_id!r}, because the running daemon uses "
            f"{config.client_id!r}: its health and its log say how it is connected itself"
        )
    answers = [_try_versions(config, broker, client_id) for broker in mqtt.brokers]
    refusals = [why for why, accepted in answers if not accepted]
    if refusals:
        raise RefusedError("; ".join(refusals) + note)
    # No test message is sent: consumers would take it for one of the daemon's.
    return "; ".join(text for text, _ in answers) + "; its ACL is not tried" + note


def _try_versions(config: Config, broker: tuple[str, int], client_id: str) -> tuple[str, bool]:
    """The broker's address or its first refusal, and whether it accepts this box."""
    version = config.mqtt.version
    versions: tuple[MqttVersion, ...] = ("5", "3.1.1") if version == "auto" else (version,)
    first = ""
    for tried in versions:
        retain = True
        while True:
            try:
                _connect(config, broker, client_id, tried, retain=retain)
            except NotAcceptedError as error:
                first = first or str(error)
                if retain and (error.no_retain or error.hung_up):
                    retain = False
                    continue
                if not error.wrong_version:
                    return first, False
                break
            except BrokerConnectionError as error:
                return first or str(error), False
            note = "" if retain else ", without retained messages"
            return f"{broker[0]}:{broker[1]}, MQTT {tried}{note}", True
    return first, False


def _connect(
    config: Config, broker: tuple[str, int], client_id: str, version: MqttVersion, *, retain: bool
) -> None:
    """Connects once, as the daemon does, and disconnects. Raises BrokerConnectionError."""
    events = EventQueue(time.monotonic)
    topic, body = BirthAndWill(config, uuid.uuid4().hex, Clock()).will()
    if client_id != config.client_id:
        topic, body = f"{config.topic}/check", b""  # the daemon's status is its own
    connection = PahoConnection(
        config.mqtt, client_id, version, (topic, body), events.put, broker=broker, retain=retain
    )
    with closing(connection):
        connection.open()
        await_connack(events.next, time.monotonic, lambda: False, f"{broker[0]}:{broker[1]}")
