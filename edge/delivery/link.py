"""One connection to one broker, as an object: when it is lost it is thrown away.

paho-mqtt stays behind this door. It reconnects nothing and queues nothing for us: what counts as
sent, and what is sent again, is decided by the publisher from the outbox.
"""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import MqttConfig
from edge.errors import EdgeInspectError

log = logging.getLogger(__name__)

Protocol_ = Literal["5", "3.1.1"]
CONNECT_TIMEOUT_S = 5.0


class LinkError(EdgeInspectError):
    """There is no connection; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted us; `receive_maximum` is how much it takes unacknowledged."""

    receive_maximum: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker has answered, and the answer is no."""

    why: str
    wrong_version: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone."""

    why: str


@dataclass(frozen=True, slots=True)
class Answered:
    """PUBACK for message `mid`; `code` is 0 or MQTT 5's reason, `why` its words."""

    mid: int
    code: int
    why: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message on a topic that was subscribed to."""

    topic: str
    body: bytes
    retained: bool


Event = Connected | Refused | Lost | Answered | Received


class Link(Protocol):
    """A connection. It exists so that the publisher can be tested against a broker that lies."""

    def open(self) -> None:
        """Starts connecting; the outcome comes as an event. Raises LinkError."""
        ...

    def publish(self, topic: str, body: bytes, *, retain: bool) -> int:
        """Sends with QoS 1 and returns the `mid` its Answered will carry. Raises LinkError."""
        ...

    def subscribe(self, pattern: str) -> None:
        """Asks for the messages on the topics of a pattern. Raises LinkError."""
        ...

    def close(self) -> None:
        """Says goodbye, so that the broker sends no will. No event comes afterwards."""
        ...


class PahoLink:
    """A real connection through paho-mqtt. Events come on paho's thread."""

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        version: Protocol_,
        will: tuple[str, bytes] | None,
        on_event: Callable[[Event], None],
    ) -> None:
        """`will`: topic and body of what the broker says, retained, when the connection is lost."""
        self._config = config
        self._on_event = on_event
        self._closed = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if version == "5" else paho.MQTTv311,
            clean_session=None if version == "5" else True,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1, retain=True)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._published
        self._client.on_message = self._received
        self._client.on_subscribe = self._subscribed
        self._client.on_socket_open = self._opened

    def open(self) -> None:
        """Opens the TCP (or TLS) connection and sends CONNECT. Raises LinkError."""
        config, where = self._config, f"{self._config.host}:{self._config.effective_port}"
        self._use_secrets()
        try:
            self._client.connect(config.host, config.effective_port, keepalive=config.keepalive_s)
        except ssl.SSLError as error:
            why = error.reason or str(error)
            raise LinkError(f"no TLS with the broker at {where} ({why}); check mqtt.tls") from error
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise LinkError(
                f"no broker answers at {where} ({why}); check mqtt.host and mqtt.port, and that "
                "the broker runs"
            ) from error
        self._client.loop_start()

    def publish(self, topic: str, body: bytes, *, retain: bool) -> int:
        """Sends with QoS 1. Raises LinkError when there is no connection."""
        info = self._client.publish(topic, body, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(f"cannot send ({paho.error_string(info.rc)})")
        return info.mid

    def subscribe(self, pattern: str) -> None:
        """QoS 1. Raises LinkError when there is no connection."""
        code, _mid = self._client.subscribe(pattern, qos=1)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(f"cannot subscribe to {pattern} ({paho.error_string(code)})")

    def close(self) -> None:
        """Disconnects and ends paho's thread."""
        self._closed = True
        self._client.disconnect()
        self._client.loop_stop()

    def _use_secrets(self) -> None:
        config = self._config
        try:
            if config.username is not None:
                self._client.username_pw_set(config.username, self._password())
            if config.tls is not None:
                tls = config.tls
                ca, cert, key = (str(p) if p else None for p in (tls.ca, tls.cert, tls.key))
                self._client.tls_set(ca_certs=ca, certfile=cert, keyfile=key)
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise LinkError(
                f"mqtt.password_file or mqtt.tls: a file cannot be used ({why}); check the paths, "
                "their permissions and contents"
            ) from error

    def _password(self) -> str | None:
        path = self._config.password_file
        return None if path is None else path.read_text(encoding="utf-8").rstrip("\r\n")

    def _emit(self, event: Event) -> None:
        if not self._closed:
            self._on_event(event)

    def _connected(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            why = str(code)
            self._emit(Refused(_plain(why, self._config), why == "Unsupported protocol version"))
            return
        self._emit(Connected(int(getattr(properties, "ReceiveMaximum", 65535))))

    def _disconnected(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        self._emit(Lost(str(code)))

    def _published(
        self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any
    ) -> None:
        self._emit(Answered(mid, int(code.value), str(code)))

    def _subscribed(
        self, _client: Any, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        for code in codes:
            if code.is_failure:
                log.error(
                    "delivery: the broker refuses our subscription (%s): no request is heard; "
                    "allow this user to read <prefix>/<station>/request/+",
                    code,
                )

    def _opened(self, _client: Any, _data: Any, sock: Any) -> None:
        # Nagle's algorithm holds a small packet back until the one before is acknowledged, which
        # the other side delays by up to 40 ms: an answer must not wait for that.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours, and paho's thread would end by it
        self._emit(Received(topic, bytes(message.payload), bool(message.retain)))


def _plain(why: str, config: MqttConfig) -> str:
    where = f"the broker at {config.host}:{config.effective_port}"
    if why in ("Bad user name or password", "Not authorized"):
        user = (
            "a client without user name"
            if config.username is None
            else f"the user {config.username!r}"
        )
        return (
            f"{where} refuses {user} ({why}); check mqtt.username and mqtt.password_file, "
            "and the broker's users"
        )
    if why == "Client identifier not valid":
        return f"{where} refuses the client id ({why}); set mqtt.client_id"
    return f"{where} refuses us ({why}); see the broker's log"
