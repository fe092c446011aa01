"""One connection to one broker through paho-mqtt. A lost connection is discarded.

paho-mqtt neither reconnects nor queues here: the publisher decides from the outbox what is sent
and what is sent again.
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
    BrokerAddress,
    BrokerConnectionError,
    OversizeError,
    explain_connect_error,
    explain_refusal,
    explain_tls_alert,
    explain_tls_error,
)
from edge.mqtt.events import (
    MALFORMED,
    MAX_PACKET,
    Connected,
    Event,
    Lost,
    MqttVersion,
    PubAck,
    Received,
    Refused,
    ReplyTo,
    Subscribed,
    SubscribeRefused,
)
from edge.mqtt.incoming_limit import MAX_INCOMING
from edge.mqtt.io_loop import IoLoop
from edge.mqtt.tls import context_from, read_secret

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
_OVERHEAD = 2**17  # bytes: topic and properties together are shorter
_MAX_EXPIRY_S = 2**32 - 1
_MAX_REASON = 200  # characters of the broker's own text
_MAX_UNANSWERED = 20  # messages of others that may wait for our PUBACK
_QOS_NOT_SUPPORTED = 0x9B
_RETAIN_NOT_SUPPORTED = 0x9A
_WRONG_VERSION = 0x84


class PahoConnection:
    """A `Connection`. Its events come on its own thread."""

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        version: MqttVersion,
        will: tuple[str, bytes] | None,
        on_event: Callable[[Event], None],
        *,
        retain: bool = True,
        broker: tuple[str, int] | None = None,
    ) -> None:
        """
        will: topic and body that the broker publishes when the connection is lost.
        retain: the will and messages may be retained; False: the broker keeps none.
        broker: host and port; None: the first broker of `config`.
        """
        self._config, self._client_id, self._version = config, client_id, version
        self._address = BrokerAddress(config, *(broker or config.brokers[0]))
        self._on_event = on_event
        self._closed = self._ended = self._answered = False
        self._max_packet = MAX_PACKET
        self._retain_available = retain
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
        client.suppress_exceptions = True  # an exception would end paho's loop; `_logged` logs it
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=retain)
        client.on_connect = _logged(self._connected)
        client.on_disconnect = _logged(self._disconnected)
        client.on_message = _logged(self._received)
        client.on_publish = _logged(self._published)
        client.on_subscribe = _logged(self._subscribed)
        self._io_loop = IoLoop(client, self._connect, self._io_ended, plain=config.tls is None)

    def open(self) -> None:
        """Opens the TCP, TLS or WebSocket connection and sends CONNECT. Raises
        BrokerConnectionError."""
        self._use_secrets()
        try:
            self._io_loop.open()
        except (OSError, ValueError) as error:
            raise BrokerConnectionError(explain_connect_error(error, self._address)) from error

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """Sends with QoS 1; returns the `mid`. Raises BrokerConnectionError; OversizeError when
        the broker would disconnect because of the size."""
        properties = None
        if about is not None and self._version == "5":
            properties = _properties(about)
        if len(body) + _OVERHEAD > self._max_packet:
            self._refuse_oversize(topic, body, properties)
        retain = retain and self._retain_available
        sent = self._client.publish(topic, body, qos=1, retain=retain, properties=properties)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerConnectionError(f"cannot send ({paho.error_string(sent.rc)})")
        return sent.mid

    def subscribe(self, pattern: str) -> None:
        """Subscribes with QoS 1. Raises BrokerConnectionError."""
        with self._lock:  # SUBACK may come before `subscribe` returns
            code, mid = self._client.subscribe(pattern, qos=1)
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
                raise BrokerConnectionError(
                    f"cannot subscribe to {pattern} ({paho.error_string(code)})"
                )
            self._subscribing[mid] = pattern

    def alive(self) -> bool:
        """Whether the connection's thread runs."""
        return self._io_loop.alive

    def close(self) -> None:
        """Disconnects and ends the thread; a peer that does not read delays it by a second."""
        self._closed = True
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._io_loop.close()

    def _connect(self) -> None:
        host, port = self._address.host, self._address.port
        properties: Any = None
        if self._version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            properties.MaximumPacketSize = MAX_INCOMING
            properties.ReceiveMaximum = _MAX_UNANSWERED
        self._client.connect(host, port, self._config.keepalive_s, properties=properties)

    def _refuse_oversize(self, topic: str, body: bytes, properties: Properties | None) -> None:
        # 5 bytes of header, 2 of the topic's length, 2 of packet identifier
        size = 9 + len(topic.encode()) + len(body)
        if self._version == "5":
            size += 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call]  # paho's
        if size > self._max_packet:
            raise OversizeError(
                f"a message of {size} bytes; the broker takes at most {self._max_packet}: raise "
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
                    self._address,
                )
        if config.transport == "websockets":
            client.ws_set_options(path=config.ws_path)

    def _emit(self, event: Event) -> None:
        if isinstance(event, Lost | Refused):
            if self._ended:
                return  # the first reason is the most exact one
            self._ended = True
        if not self._closed:
            self._on_event(event)

    def _io_ended(self, why: str) -> None:
        if self._io_loop.tls_alert:
            self._emit(Refused(explain_tls_alert(self._address), wrong_version=False))
        elif (too_long := self._io_loop.too_long) is not None:
            self._emit(Lost(why, too_long_on=too_long.topic))
        elif self._config.tls is None or self._answered:
            self._emit(Lost(why, code=MALFORMED if self._io_loop.malformed else 0))
        elif "SSL" in why:
            self._emit(Refused(explain_tls_error(why, self._address), wrong_version=False))
        else:
            hint = "it may miss or not trust our client certificate: check mqtt.tls.cert"
            self._emit(Lost(f"{why}; {hint}"))

    def _connected(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        self._answered = True
        if code.is_failure:
            number = int(code.value)
            why = self._explain(number, str(code), properties)
            no_retain = number == _RETAIN_NOT_SUPPORTED
            self._emit(Refused(why, number == _WRONG_VERSION, no_retain))
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            why = self._explain(_QOS_NOT_SUPPORTED, "QoS not supported", None)
            self._emit(Refused(why, wrong_version=False))
            return
        self._max_packet = int(getattr(properties, "MaximumPacketSize", MAX_PACKET))
        self._retain_available &= bool(getattr(properties, "RetainAvailable", 1))
        receive_maximum = int(getattr(properties, "ReceiveMaximum", 65535))
        keepalive_s = int(self._client.keepalive)
        self._emit(
            Connected(receive_maximum, keepalive_s, self._retain_available, self._max_packet)
        )

    def _disconnected(
        self, _client: Any, _data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if not getattr(flags, "is_disconnect_packet_from_server", False):
            return  # the I/O loop ends too, and reports why
        number = int(code.value)
        why = self._explain(number, str(code), properties)
        self._emit(Lost(why, taken_over=number == TAKEN_OVER, code=number))

    def _explain(self, code: int, name: str, properties: Any) -> str:
        """The sentence for a reason code, with the broker's own text and other server."""
        server = str(getattr(properties, "ServerReference", "") or "")[:_MAX_REASON]
        text = str(getattr(properties, "ReasonString", "") or "")[:_MAX_REASON]
        name = f"{name}: {text}" if text else name
        return explain_refusal(code, name, self._address, self._client_id, server)

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
            refused = code.is_failure
            self._emit(SubscribeRefused(pattern, str(code)) if refused else Subscribed(pattern))

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # none of our topics
        properties = message.properties
        to = getattr(properties, "ResponseTopic", None)
        correlation = getattr(properties, "CorrelationData", None)
        reply_to = None if to is None and correlation is None else ReplyTo(to, correlation)
        self._emit(Received(topic, bytes(message.payload), bool(message.retain), reply_to))


@functools.lru_cache(maxsize=64)  # paho takes longer to build one than to send the message
def _properties(about: MessageProperties) -> Properties:
    """The PUBLISH properties of MQTT 5. They are shared, so the caller must not change them."""
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    properties.PayloadFormatIndicator = 1  # UTF-8 text
    properties.ContentType = about.content_type
    if about.user:
        properties.UserProperty = list(about.user)
    if about.expiry_s is not None:
        properties.MessageExpiryInterval = max(1, min(about.expiry_s, _MAX_EXPIRY_S))
    if about.correlation is not None:
        properties.CorrelationData = about.correlation
    built: Properties = properties
    return built


def _logged(callback: Callable[..., None]) -> Callable[..., None]:
    """A callback for paho that logs its exceptions: a broker may send anything, and a fault of
    ours must not end the loop."""

    @functools.wraps(callback)
    def logged(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:  # the outermost function of ours on paho's loop
            log.exception("mqtt: unexpected fault in a callback")

    return logged
