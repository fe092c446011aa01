"""The errors of a broker connection. Each sentence says what happened, names the key of config.yaml
and says what to do."""

import socket
import ssl
from dataclasses import dataclass

from paho.mqtt.client import WebsocketConnectionError

from edge.config import MqttConfig
from edge.core.errors import EdgeInspectError


class BrokerConnectionError(EdgeInspectError):
    """There is no connection to the broker."""


class OversizeError(BrokerConnectionError):
    """A message is larger than the broker takes; it would disconnect."""


class NotAcceptedError(BrokerConnectionError):
    """The broker did not accept the connection.

    wrong_version: it may accept the other version of MQTT.
    refused: it answered CONNECT with a refusal.
    no_retain: it keeps no retained messages, and so refuses our will.
    hung_up: it ended the connection without an answer.
    """

    def __init__(
        self,
        sentence: str,
        *,
        wrong_version: bool,
        refused: bool = False,
        no_retain: bool = False,
        hung_up: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.wrong_version, self.refused = wrong_version, refused
        self.no_retain, self.hung_up = no_retain, hung_up


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker's host and port, with the settings of the connection."""

    config: MqttConfig
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


TAKEN_OVER = 0x8E
_EXPIRED, _NOT_YET_VALID = 10, 9
_UNKNOWN_AUTHORITY = frozenset({7, 18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})
# By reason code of MQTT 5, to which paho-mqtt maps those of 3.1.1: what the broker does, and the
# fix.
_REASONS = {
    0x81: ("calls our packet malformed", "something else than a broker may listen there"),
    0x82: ("calls it a protocol error", "set mqtt.version: 3.1.1 and see the broker's log"),
    0x84: ("does not speak this version of MQTT", "set mqtt.version: auto"),
    0x85: ("refuses the client id {client!r}", "set mqtt.client_id to one that it allows"),
    0x86: ("refuses {user}: wrong name or password", "check mqtt.username and mqtt.password_file"),
    0x87: (
        "refuses {user}: not authorized",
        "check mqtt.username, mqtt.password_file and the broker's users and ACL",
    ),
    0x88: ("is not available", "see the broker's log; it is tried again"),
    0x89: ("is busy", "it is tried again; if this lasts, look at the broker's load"),
    0x8A: ("has banned this client", "ask the broker's operator to lift the ban"),
    0x8B: ("is shutting down", "it is tried again"),
    0x8C: ("wants another way of authentication", "allow name and password, or certificates"),
    0x8D: ("received nothing from us for too long", "look at the network between box and broker"),
    TAKEN_OVER: (
        "gave our place to another client with the client id {client!r}",
        "two boxes use one client id: give each its own station or mqtt.client_id",
    ),
    0x90: ("does not allow the topic of our will", "allow <prefix>/<station>/status"),
    0x93: ("got more at once than it takes", "it is tried again"),
    0x95: ("got a larger packet than it takes", "raise its max_packet_size"),
    0x96: ("gets too many messages a second", "raise its limit"),
    0x97: ("has no quota left for us", "raise its quota; it is tried again"),
    0x98: ("closes the connection for its operator", "ask the broker's operator"),
    0x99: ("calls the payload of our will invalid", "see the broker's log"),
    0x9A: (
        "allows no retained messages, which status, info and health are",
        "set retain_available true there",
    ),
    0x9B: ("does not take QoS 1", "set its maximum QoS to 1: without it verdicts get lost"),
    0x9C: ("sends us to another server{server}", "set mqtt.host to that server"),
    0x9D: ("has moved{server}", "set mqtt.host to that server"),
    0x9F: ("gets too many connections a second", "it is tried again"),
}


def explain_connect_error(error: Exception, broker: BrokerAddress) -> str:
    """The sentence for an exception while connecting."""
    config, host = broker.config, broker.host
    if isinstance(error, socket.gaierror):
        return (
            f"the name {host!r} is not known ({error.strerror}), so no broker answers; check "
            "mqtt.host and the box's DNS, or give the broker's address"
        )
    if isinstance(error, WebsocketConnectionError):
        return (
            f"no WebSocket at {broker}{config.ws_path}; check mqtt.ws_path and mqtt.port, or set "
            "mqtt.transport: tcp for a plain MQTT port"
        )
    if config.tls is not None and _in_handshake(error):
        return explain_tls_error(str(getattr(error, "reason", "") or error), broker, error)
    if isinstance(error, ConnectionRefusedError):
        return (
            f"no broker answers at {broker} (connection refused); start the broker, or correct "
            "mqtt.host and mqtt.port"
        )
    if isinstance(error, TimeoutError):
        return (
            f"no broker answers at {broker} in time; check mqtt.host and mqtt.port, the cable, and "
            "the firewalls between"
        )
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return (
        f"no broker answers at {broker} ({why}); check mqtt.host and mqtt.port, and that the "
        "broker runs"
    )


def explain_tls_error(reason: str, broker: BrokerAddress, error: Exception | None = None) -> str:
    """The sentence for a TLS failure; `reason` is OpenSSL's."""
    config = broker.config
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_untrusted(error, broker)
    word = reason.upper().replace(" ", "_")
    if "CERTIFICATE_REQUIRED" in word or "HANDSHAKE_FAILURE" in word:
        if config.tls is not None and config.tls.cert is None:
            return (
                f"the broker at {broker} asks for a client certificate; set mqtt.tls.cert and "
                "mqtt.tls.key"
            )
        return f"the broker at {broker} and we support no common TLS ({reason}); see its log"
    if any(alert in word for alert in ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")):
        return (
            f"the broker at {broker} does not trust our client certificate ({reason}); give "
            "mqtt.tls.cert and mqtt.tls.key that its authority has signed"
        )
    if "CERTIFICATE_EXPIRED" in word or "CERTIFICATE_REVOKED" in word:
        return (
            f"the broker at {broker} refuses our client certificate ({reason}); renew mqtt.tls.cert"
        )
    if "PROTOCOL_VERSION" in word or "UNSUPPORTED_PROTOCOL" in word:
        return f"the broker at {broker} has no TLS 1.2 or newer ({reason}); update the broker"
    return (
        f"{broker} does not answer TLS ({reason}); it may be a plain port: set mqtt.port to the "
        "TLS port (usually 8883), or remove mqtt.tls"
    )


def explain_refusal(code: int, name: str, broker: BrokerAddress, client: str, server: str) -> str:
    """The sentence for a CONNACK or DISCONNECT.

    code, name: the reason code of MQTT 5 and its name in the specification.
    server: the other server that the broker names; may be empty.
    """
    username = broker.config.username
    user = "a client without user name" if username is None else f"the user {username!r}"
    what, fix = _REASONS.get(code, ("refuses us", "see the broker's log"))
    what = what.format(user=user, client=client, server=f" ({server})" if server else "")
    return f"the broker at {broker} {what} ({name}, {code:#04x}); {fix}"


def explain_tls_alert(broker: BrokerAddress) -> str:
    """The sentence for a port that answered with a TLS alert."""
    return (
        f"the port {broker} speaks TLS and we do not; set mqtt.tls (with ca), or set "
        "mqtt.port to the plain port"
    )


def _in_handshake(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError | ConnectionResetError | BrokenPipeError) or (
        isinstance(error, TimeoutError) and "handshake" in str(error)
    )


def _explain_untrusted(error: ssl.SSLCertVerificationError, broker: BrokerAddress) -> str:
    config, host = broker.config, broker.host
    code, words = error.verify_code, error.verify_message.rstrip(".")
    cert = f"the certificate of the broker at {broker}"
    if code == _EXPIRED:
        return f"{cert} has expired ({words}); renew it, or check the clock of this box (date)"
    if code == _NOT_YET_VALID:
        return f"{cert} is not valid yet ({words}); check the clock of this box (date)"
    if code in _WRONG_NAME:
        return (
            f"{cert} is for another name than {host!r} ({words}); set mqtt.host to the name in "
            "the certificate, or get a certificate for this name"
        )
    if code in _UNKNOWN_AUTHORITY:
        ca = config.tls.ca if config.tls is not None else None
        trusted = f"mqtt.tls.ca ({ca})" if ca else "the system's certificates; set mqtt.tls.ca"
        return (
            f"{cert} is not signed by an authority in {trusted} ({words}); give the PEM file of "
            "the authority that signed it"
        )
    return f"{cert} is not trusted ({words}); check mqtt.tls.ca and the broker's certificate"
