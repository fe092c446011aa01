"""`mqtt` of config.yaml: the broker, or several, how it is spoken to, and under which names."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from edge.section import Section
from edge.snapshotconfig import SnapshotsConfig

# Python's $ lets a line's end follow; (?!\n) does not, and changes nothing for the JSON Schema.
IN_TOPIC = {"must": "not be empty or hold +, #, / or control characters (it is part of a topic)"}
TopicPrefix = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[^+#/$\x00-\x1f][^+#/\x00-\x1f]*(/[^+#/\x00-\x1f]+)*$(?!\n)",
        extra=IN_TOPIC,
    ),
]
Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=255)]
WebSocketPath = Annotated[
    str,
    Meta(
        max_length=256,
        pattern=r"^/[\x21-\x7e]*$(?!\n)",
        extra={"must": "begin with / and hold no space"},
    ),
]
_PLAIN_PORT, _TLS_PORT, _WS_PORT, _WSS_PORT = 1883, 8883, 8080, 443


class TLSConfig(Section, frozen=True):
    """Encryption to the broker. `ca` None: the system's certificates."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password_file: Path | None = None
    insecure_skip_hostname: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for one half of a pair."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together; set both or none")
        if self.key_password_file is not None and self.key is None:
            raise ValueError("key_password_file without key; set both")


class BrokerConfig(Section, frozen=True):
    """One more broker, for when the ones before it do not serve."""

    host: Host
    port: Port | None = None


class MqttConfig(Section, frozen=True):
    """The brokers, in the order in which they are tried, and the names this box speaks under."""

    host: Host = "127.0.0.1"
    port: Port | None = None
    standby: Annotated[tuple[BrokerConfig, ...], Meta(max_length=8)] = ()
    transport: Literal["tcp", "websockets"] = "tcp"
    ws_path: WebSocketPath = "/mqtt"
    username: str | None = None
    password_file: Path | None = None
    tls: TLSConfig | None = None
    prefix: TopicPrefix = "inspection"
    client_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    version: Literal["auto", "5", "3.1.1"] = "auto"
    embedded: bool = False
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    replay_per_s: Annotated[float, Meta(ge=0, le=100_000)] = 200.0
    max_requests_per_s: Annotated[float, Meta(ge=1, le=10_000)] = 100.0
    snapshots: SnapshotsConfig = SnapshotsConfig()

    @classmethod
    def as_meant(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Whoever writes `version: 5`, a number, means the text."""
        return {**raw, "version": "5"} if raw.get("version") == 5 else raw

    def __post_init__(self) -> None:
        """Raises ValueError for keys that do not go together."""
        if self.embedded and (self.tls is not None or self.version == "5"):
            raise ValueError("the embedded broker speaks plain MQTT 3.1.1; remove tls and version")
        if self.embedded and (self.standby or self.transport != "tcp"):
            raise ValueError(
                "the embedded broker stands alone and speaks TCP; remove standby and transport"
            )
        if self.embedded and self.username is not None:
            raise ValueError("the embedded broker asks nobody for a name; remove username")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file without username; set both")

    @property
    def effective_port(self) -> int:
        """The port said, or MQTT's own: 1883, 8883 with TLS; 8080 and 443 over WebSockets."""
        return self._port_or_usual(self.port)

    @property
    def brokers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each broker, the one to prefer first."""
        standby = ((broker.host, self._port_or_usual(broker.port)) for broker in self.standby)
        return ((self.host, self.effective_port), *standby)

    def _port_or_usual(self, port: int | None) -> int:
        if self.transport == "websockets":
            return port or (_WSS_PORT if self.tls else _WS_PORT)
        return port or (_TLS_PORT if self.tls else _PLAIN_PORT)
