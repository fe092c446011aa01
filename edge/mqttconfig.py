"""`mqtt` of config.yaml: the broker, or several, how it is spoken to, and under which names."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge.section import Section
from edge.snapshotconfig import SnapshotsConfig

TopicPrefix = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=r"^[^+#/$\x00-\x1f][^+#/\x00-\x1f]*(/[^+#/\x00-\x1f]+)*$",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, Field(min_length=1, max_length=255)]
_PLAIN_PORT, _TLS_PORT, _WS_PORT, _WSS_PORT = 1883, 8883, 8080, 443


class TLSConfig(Section):
    """Encryption to the broker. `ca` None: the system's certificates."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password_file: Path | None = None
    insecure_skip_hostname: bool = False

    @model_validator(mode="after")
    def _pair(self) -> "TLSConfig":
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together; set both or none")
        if self.key_password_file is not None and self.key is None:
            raise ValueError("key_password_file without key; set both")
        return self


class BrokerConfig(Section):
    """One more broker, for when the ones before it do not serve."""

    host: Host
    port: Port | None = None


class MqttConfig(Section):
    """The brokers, in the order in which they are tried, and the names this box speaks under."""

    host: Host = "127.0.0.1"
    port: Port | None = None
    standby: tuple[BrokerConfig, ...] = Field(default=(), max_length=8)
    transport: Literal["tcp", "websockets"] = "tcp"
    ws_path: str = Field(default="/mqtt", pattern=r"^/[\x21-\x7e]*$", max_length=256)
    username: str | None = None
    password_file: Path | None = None
    tls: TLSConfig | None = None
    prefix: TopicPrefix = "inspection"
    client_id: str | None = Field(default=None, min_length=1, max_length=128)
    version: Literal["auto", "5", "3.1.1"] = Field(
        default="auto",
        json_schema_extra={"enum": ["auto", "5", 5, "3.1.1"], "type": ["string", "integer"]},
    )
    embedded: bool = False
    keepalive_s: int = Field(default=30, ge=5, le=3600)
    replay_per_s: float = Field(default=200, ge=0, le=100_000)
    max_requests_per_s: float = Field(default=100, ge=1, le=10_000)
    snapshots: SnapshotsConfig = SnapshotsConfig()

    @field_validator("version", mode="before")
    @classmethod
    def _written_as_number(cls, version: object) -> object:
        return "5" if version == 5 and not isinstance(version, bool) else version

    @model_validator(mode="after")
    def _embedded_is_plain(self) -> "MqttConfig":
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
        return self

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
