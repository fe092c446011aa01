"""`mqtt` in config.yaml: the brokers, the connection to them, and the names on it."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from edge.config.address import Host
from edge.config.annotations import NeedsRestart, ReadableFile, SecretFile
from edge.core.record import Items, Model, Pattern
from edge.core.text import typed
from edge.core.verdict import Outcome

TOPIC_RULE = "not be empty or hold +, #, / or control characters (it is part of a topic)"
TopicPrefix = Annotated[
    str,
    Field(max_length=128),
    Pattern(r"[^+#/$\x00-\x1f][^+#/\x00-\x1f]*(/[^+#/\x00-\x1f]+)*", TOPIC_RULE),
    AfterValidator(typed),
]
ChangingRequest = Literal["reload", "label", "recipe", "models"]
Port = Annotated[int, Field(ge=1, le=65535)]
WebSocketPath = Annotated[
    str, Field(max_length=256), Pattern(r"/[\x21-\x7e]*", "begin with / and hold no space")
]
_PLAIN_PORT, _TLS_PORT, _WS_PORT, _WSS_PORT = 1883, 8883, 8080, 443


def _to_text(version: Any) -> Any:
    return "5" if version == 5 else version  # YAML reads `version: 5` as a number


MqttVersion = Annotated[
    Literal["auto", "5", "3.1.1"],
    BeforeValidator(_to_text),
    WithJsonSchema({"enum": ["auto", "5", "3.1.1", 5]}),
]


class SnapshotsConfig(Model):
    """`mqtt.snapshots`: which pictures go to the broker.

    - `send`: the verdicts whose pictures are sent.
    - `pass_every`: send every n-th passed picture of a camera too; 0: none.
    - `max_kb`: the largest JPEG, in kB.
    - `max_per_s`: the average limit for all cameras, pictures per second.
    """

    send: Items[Outcome] = ()
    pass_every: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    max_kb: Annotated[int, Field(ge=8, le=16_384)] = 256
    max_per_s: Annotated[float, Field(ge=0.01, le=100)] = 2.0


class TLSConfig(Model):
    """Encryption of the connection. `ca` None: the system's certificates."""

    ca: ReadableFile | None = None
    cert: ReadableFile | None = None
    key: ReadableFile | None = None
    key_password_file: SecretFile | None = None
    insecure_skip_hostname: bool = False

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together; set both or none")
        if self.key_password_file is not None and self.key is None:
            raise ValueError("key_password_file without key; set both")
        return self


class BrokerConfig(Model):
    """A standby broker."""

    host: Host
    port: Port | None = None


class MqttConfig(Model):
    """The brokers, in the order of the attempts, and this box's names. `allow_requests`: which
    changing requests the broker's clients may make."""

    host: Annotated[Host, NeedsRestart(embedded=True)] = "127.0.0.1"
    port: Annotated[Port | None, NeedsRestart(embedded=True)] = None
    standby: Annotated[Items[BrokerConfig], Field(max_length=8)] = ()
    transport: Literal["tcp", "websockets"] = "tcp"
    ws_path: WebSocketPath = "/mqtt"
    username: str | None = None
    password_file: SecretFile | None = None
    tls: TLSConfig | None = None
    prefix: Annotated[TopicPrefix, NeedsRestart()] = "inspection"
    client_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    version: MqttVersion = "auto"
    embedded: Annotated[bool, NeedsRestart()] = False
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    replay_per_s: Annotated[float, Field(ge=0, le=100_000)] = 200.0
    max_requests_per_s: Annotated[float, Field(ge=1, le=10_000)] = 100.0
    allow_requests: Items[ChangingRequest] = ("reload",)
    snapshots: SnapshotsConfig = SnapshotsConfig()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.embedded and (self.tls is not None or self.version == "5"):
            raise ValueError("the embedded broker speaks plain MQTT 3.1.1; remove tls and version")
        if self.embedded and (self.standby or self.transport != "tcp"):
            raise ValueError(
                "the embedded broker has no standby and uses TCP; remove standby and transport"
            )
        if self.embedded and self.username is not None:
            raise ValueError("the embedded broker knows no users; remove username")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file without username; set both")
        return self

    def allows(self, request: str) -> bool:
        """Whether a client may make this request. Those that change nothing are always allowed."""
        return request not in get_args(ChangingRequest) or request in self.allow_requests

    @property
    def effective_port(self) -> int:
        """`port`, or the default: 1883, with TLS 8883; over WebSockets 8080, with TLS 443."""
        return self._port_or_usual(self.port)

    @property
    def brokers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each broker, the preferred one first."""
        standby = ((broker.host, self._port_or_usual(broker.port)) for broker in self.standby)
        return ((self.host, self.effective_port), *standby)

    def _port_or_usual(self, port: int | None) -> int:
        if self.transport == "websockets":
            return port or (_WSS_PORT if self.tls else _WS_PORT)
        return port or (_TLS_PORT if self.tls else _PLAIN_PORT)
