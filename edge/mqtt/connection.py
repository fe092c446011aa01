"""One connection to one broker, as an object: when it is lost it is thrown away.

paho-mqtt stays behind this door. It reconnects nothing and queues nothing for us: what counts as
sent, and what is sent again, is decided by the publisher from the outbox.
"""

import contextlib
import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import MqttConfig
from edge.core.messages import MessageProperties
from edge.mqtt.diagnostics import (
    TAKEN_OVER,
    Address,
    LinkError,
    NotAcceptedError,
    OversizeError,
    why_not_open,
    why_not_tls,
    why_refused,
    why_tls_spoken_to_plainly,
)
from edge.mqtt.events import (
    Connected,
    Event,
    Lost,
    Protocol_,
    PubAck,
    Received,
    Refused,
    ReplyTo,
    SubscribeRefused,
)
from edge.mqtt.io_loop import IoLoop
from edge.mqtt.tls import context_from, read_secret

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
CONNACK_S = 5.0
_CLOSING_STEP_S = 1.0  # while an answer is awaited, closing is noticed so late
LARGEST = 268_435_455  # bytes: the longest packet that MQTT can state
_OVERHEAD = 2**17  # bytes: topic and properties are shorter together
_LONGEST_S = 2**32 - 1  # of MQTT 5's message expiry
_QOS_TOO_LOW = 0x9B
_WRONG_VERSION = 0x84


class PahoConnection:
    """A connection through paho-mqtt. Events come on the connection's own thread."""

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        version: Protocol_,
        will: tuple[str, bytes] | None,
        on_event: Callable[[Event], None],
        *,
        broker: tuple[str, int] | None = None,
    ) -> None:
        """`will`: topic and body of what the broker says, retained, when the connection is lost.
        `broker`: host and port, None: the first of `config`."""
        self._config, self._client_id, self._version = config, client_id, version
        self._at = Address(config, *(broker or config.brokers[0]))
        self._on_event = on_event
        self._closed = self._over = self._answered = False
        self._largest = LARGEST
        self._retains = True
        self._lock = threading.Lock()
        self._subscribing: dict[int, str] = {}  # packet identifier -> pattern
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if version == "5" else paho.MQTTv311,
            clean_session=None if version == "5" else True,
            reconnect_on_failure=False,
            transport=config.transport,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the publisher keeps the window
        client.suppress_exceptions = True  # paho ends its loop on one; `_guarded` logs them first
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = _guarded(self._connected)
        client.on_disconnect = _guarded(self._disconnected)
        client.on_message = _guarded(self._received)
        client.on_publish = _guarded(self._published)
        client.on_subscribe = _guarded(self._subscribed)
        self._network = IoLoop(client, self._connect, self._ended, plain=config.tls is None)

    def open(self) -> None:
        """Opens the TCP, TLS or WebSocket connection and sends CONNECT. Raises LinkError."""
        self._use_secrets()
        try:
            self._network.open()
        except Exception as error:
            why = why_not_open(error, self._at)
            raise LinkError(why) from error

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """With QoS 1. Raises LinkError when there is no connection, OversizeError when the broker
        would end the connection over it."""
        properties = None
        if about is not None and self._version == "5":
            properties = _properties(about)
        if len(body) + _OVERHEAD > self._largest:
            self._refuse_oversize(topic, body, properties)
        retain = retain and self._retains
        sent = self._client.publish(topic, body, qos=1, retain=retain, properties=properties)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(f"cannot send ({paho.error_string(sent.rc)})")
        return sent.mid

    def subscribe(self, pattern: str) -> None:
        """QoS 1. Raises LinkError when there is no connection."""
        with self._lock:  # the answer may be there before `subscribe` returns
            code, mid = self._client.subscribe(pattern, qos=1)
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
                raise LinkError(f"cannot subscribe to {pattern} ({paho.error_string(code)})")
            self._subscribing[mid] = pattern

    def alive(self) -> bool:
        """Whether the connection's thread runs."""
        return self._network.alive

    def close(self) -> None:
        """Disconnects and ends the thread; a peer that does not read delays it by a second."""
        self._closed = True
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._network.close()

    def _connect(self) -> None:
        self._client.connect(self._at.host, self._at.port, keepalive=self._config.keepalive_s)

    def _refuse_oversize(self, topic: str, body: bytes, properties: Properties | None) -> None:
        # 5 bytes of header, 2 of the topic's length, 2 of packet identifier
        size = 9 + len(topic.encode()) + len(body)
        if self._version == "5":
            size += 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call]  # paho's
        if size > self._largest:
            raise OversizeError(
                f"a message of {size} bytes; the broker takes at most {self._largest}: raise "
                "its max_packet_size"
            )

    def _use_secrets(self) -> None:
        config, client = self._config, self._client
        if config.username is not None:
            path = config.password_file
            password = None if path is None else read_secret(path, "mqtt.password_file")
            client.username_pw_set(config.username, password)
        if config.tls is not None:
            context = context_from(config.tls)
            client.tls_set_context(context)
            if config.tls.insecure_skip_hostname:
                client.tls_insecure_set(True)
                log.warning(
                    "mqtt.tls.insecure_skip_hostname: any certificate of the authority passes for "
                    "the broker at %s; remove it when the certificate carries the right name",
                    self._at,
                )
        if config.transport == "websockets":
            client.ws_set_options(path=config.ws_path)

    def _emit(self, event: Event) -> None:
        if isinstance(event, Lost | Refused):
            if self._over:
                return  # the first reason is the one that says most
            self._over = True
        if not self._closed:
            self._on_event(event)

    def _ended(self, why: str, tls_alert: bool) -> None:
        if tls_alert:
            self._emit(Refused(why_tls_spoken_to_plainly(self._at), wrong_version=False))
        elif self._config.tls is not None and not self._answered and "SSL" in why:
            self._emit(Refused(why_not_tls(why, self._at), wrong_version=False))
        elif self._config.tls is not None and not self._answered:
            hint = "it may miss or not trust our client certificate: check mqtt.tls.cert"
            self._emit(Lost(f"{why}; {hint}"))
        else:
            self._emit(Lost(why))

    def _connected(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        self._answered = True
        if code.is_failure:
            wrong = int(code.value) == _WRONG_VERSION
            self._emit(Refused(self._why(int(code.value), str(code), properties), wrong))
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._emit(Refused(self._why(_QOS_TOO_LOW, "QoS not supported", None), False))
            return
        self._largest = int(getattr(properties, "MaximumPacketSize", LARGEST))
        self._retains = bool(getattr(properties, "RetainAvailable", 1))
        if not self._retains:
            log.warning("delivery: %s", self._why(0x9A, "Retain not supported", None))
        most = int(getattr(properties, "ReceiveMaximum", 65535))
        self._emit(Connected(most, int(self._client.keepalive)))

    def _disconnected(
        self, _client: Any, _data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if not getattr(flags, "is_disconnect_packet_from_server", False):
            return  # the network thread ends by it, and says why
        number = int(code.value)
        self._emit(Lost(self._why(number, str(code), properties), number == TAKEN_OVER))

    def _why(self, code: int, words: str, properties: Any) -> str:
        elsewhere = str(getattr(properties, "ServerReference", "") or "")
        said = str(getattr(properties, "ReasonString", "") or "")
        return why_refused(
            code,
            f"{words}: {said[:200]}" if said else words,
            self._at,
            self._client_id,
            elsewhere[:200],
        )

    def _published(
        self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any
    ) -> None:
        self._emit(PubAck(mid, int(code.value), str(code)))

    def _subscribed(
        self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        with self._lock:
            pattern = self._subscribing.pop(mid, "")
        for code in codes:
            if code.is_failure:
                self._emit(SubscribeRefused(pattern, str(code)))

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours
        properties = message.properties
        to = getattr(properties, "ResponseTopic", None)
        correlation = getattr(properties, "CorrelationData", None)
        reply_to = None if to is None and correlation is None else ReplyTo(to, correlation)
        self._emit(Received(topic, bytes(message.payload), bool(message.retain), reply_to))


def await_connack(
    next_event: Callable[[float], object],
    tick: Callable[[], float],
    closing: Callable[[], bool],
    at: str,
) -> Connected:
    """The broker's acceptance. `next_event` waits so many seconds at most. Raises
    NotAcceptedError, and LinkError when the daemon stops meanwhile."""
    deadline = tick() + CONNACK_S
    while (left := deadline - tick()) > 0:
        event = next_event(min(left, _CLOSING_STEP_S))
        if isinstance(event, Connected):
            return event
        if isinstance(event, Refused):
            raise NotAcceptedError(event.why, wrong_version=event.wrong_version, refused=True)
        if isinstance(event, Lost):
            raise NotAcceptedError(
                f"the broker at {at} hung up before it answered ({event.why}); check that "
                "mqtt.port is its MQTT port (a TLS port needs mqtt.tls), and see its log",
                wrong_version=True,
            )
        if closing():
            raise LinkError("stopping")
    raise NotAcceptedError(  # amqtt, for one, meets version 5 with silence
        f"{at} took the connection but did not answer in {CONNACK_S:g} s; check that mqtt.port is "
        "the broker's MQTT port (with mqtt.tls its TLS port)",
        wrong_version=True,
    )


@functools.lru_cache(maxsize=64)  # paho takes longer to build one than to send the message
def _properties(about: MessageProperties) -> Properties:
    """MQTT 5's properties of a message, which must not be changed."""
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    properties.PayloadFormatIndicator = 1  # UTF-8 text
    properties.ContentType = about.content_type
    if about.user:
        properties.UserProperty = list(about.user)
    if about.expiry_s is not None:
        properties.MessageExpiryInterval = max(1, min(about.expiry_s, _LONGEST_S))
    if about.correlation is not None:
        properties.CorrelationData = about.correlation
    made: Properties = properties
    return made


def _guarded(callback: Callable[..., None]) -> Callable[..., None]:
    """What a broker sends may be anything: a fault of ours over it is logged, and ends nothing."""

    @functools.wraps(callback)
    def guarded(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:  # the outermost door of paho's loop
            log.exception("mqtt: unexpected fault in a callback")

    return guarded
