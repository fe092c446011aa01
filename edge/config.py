"""config.yaml as typed, frozen values: what each key means, its range and its default."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge.mqttconfig import MqttConfig, Port
from edge.section import Section
from edge.terms import Durability, OutputKind, Runtime
from edge.triggering import AlarmConfig, LampsConfig, StationOutputsConfig, TriggerConfig
from edge.trustconfig import TrustConfig
from edge.verdict import Outcome
from edge.view import ViewConfig

STATE = Path("/var/lib/edge-inspect")

Level = Literal["debug", "info", "warning", "error"]
TopicLevel = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^+#/\x00-\x1f]+$")]
Fraction = Annotated[float, Field(ge=0, le=1)]

# Cameras with a driver, which may hang or crash: each is read in a process of its own.
DRIVEN_KINDS = frozenset({"v4l2", "rtsp", "http", "https", "gstreamer", "picamera", "pylon"})
LIVE_KINDS = DRIVEN_KINDS | {"test"}
ITEM_KINDS = frozenset({"folder", "replay"})
_SIZED_KINDS = frozenset({"v4l2", "picamera", "pylon", "test"})
OPTION_OF = {  # the kinds of source to which a camera's key belongs
    "rate": {"replay"},
    "loop": {"replay"},
    "width": LIVE_KINDS,
    "height": LIVE_KINDS,
    "fps": _SIZED_KINDS,
    "pixel_format": {"v4l2", "pylon"},
    "controls": {"v4l2", "picamera", "pylon"},
    "credentials_file": {"rtsp", "http", "https"},
    "open_timeout_s": DRIVEN_KINDS,
    "timeout_s": LIVE_KINDS,
    "frozen_after": LIVE_KINDS,
    "trust": LIVE_KINDS,
    "move_to": {"folder"},
}


class ModelConfig(Section):
    """Which model judges, and how it is run."""

    path: Path
    interpreter: Runtime = "auto"
    threads: int = Field(default=1, ge=1, le=16)
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=16)] = "auto"
    decoding: Literal["auto", "whole"] = "auto"
    labels: tuple[str, ...] | None = Field(default=None, min_length=2)
    ok_label: str | None = None
    output: OutputKind | None = None


class CameraConfig(Section):
    """One camera: `source` is `kind:rest`; the other keys belong to some kinds only."""

    id: TopicLevel
    source: str
    rate: Literal["max"] | Annotated[float, Field(gt=0, le=1000)] = "max"
    loop: int = Field(default=1, ge=1)
    width: int | None = Field(default=None, ge=16, le=16384)
    height: int | None = Field(default=None, ge=16, le=16384)
    fps: float | None = Field(default=None, gt=0, le=1000)
    pixel_format: str | None = Field(default=None, min_length=1, max_length=32)
    controls: dict[str, bool | int | float | str] = Field(default_factory=dict)
    credentials_file: Path | None = None
    open_timeout_s: float = Field(default=10.0, ge=0.1, le=3600)
    timeout_s: float = Field(default=5.0, ge=0.1, le=3600)
    frozen_after: Annotated[int, Field(ge=2)] | None = 5
    trigger: TriggerConfig = TriggerConfig()
    view: ViewConfig | None = None
    outputs: LampsConfig = LampsConfig()
    trust: TrustConfig = TrustConfig()
    move_to: Path | None = None

    @property
    def kind(self) -> str:
        """The part of `source` before the first colon."""
        return self.source.partition(":")[0]

    @property
    def rest(self) -> str:
        """The part of `source` after the first colon."""
        return self.source.partition(":")[2]

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: str) -> str:
        kind, colon, rest = source.partition(":")
        if not colon or kind not in LIVE_KINDS | ITEM_KINDS:
            raise ValueError(
                "must be v4l2:/dev/video0, rtsp://…, http://…, pylon:SERIAL, picamera:0, "
                "gstreamer:PIPELINE, folder:PATH, replay:PATH or test:"
            )
        if kind not in ("test", "pylon") and not rest:
            raise ValueError(f"says no more than {kind!r}; name the device, address or path")
        return source

    @model_validator(mode="after")
    def _options_fit(self) -> "CameraConfig":
        if self.move_to is not None and Path(self.rest) == self.move_to:
            raise ValueError("move_to is the folder itself; name another one")
        for option in sorted(self.model_fields_set & OPTION_OF.keys()):
            kinds = OPTION_OF[option]
            if self.kind not in kinds:
                raise ValueError(
                    f"{option} does nothing for a {self.kind}: source "
                    f"(only for {', '.join(sorted(kinds))}); remove it"
                )
        if self.kind in ITEM_KINDS and self.trigger.announces:
            raise ValueError(
                f"a {self.kind}: source brings its parts itself; remove trigger, or read a camera"
            )
        if self.trigger.kind == "folder" and self.kind != "folder":
            raise ValueError("a folder trigger belongs to a folder: source; choose another kind")
        return self


class DecisionConfig(Section):
    """Thresholds over those of the model file, and the deadline. None: the model file's."""

    reject_at: Fraction | None = None
    review_from: Fraction | None = None
    deadline_ms: float = Field(default=2000, ge=1, le=3_600_000)
    hysteresis: float = Field(default=0, ge=0, lt=1)
    alarm: AlarmConfig = AlarmConfig()
    outputs: StationOutputsConfig = StationOutputsConfig()

    @model_validator(mode="after")
    def _ordered(self) -> "DecisionConfig":
        if None not in (self.reject_at, self.review_from) and self.review_from > self.reject_at:  # type: ignore[operator]  # the line itself rules out None
            raise ValueError(
                f"review_from {self.review_from} is above reject_at {self.reject_at}; "
                "review lies between the two"
            )
        return self


class OutboxConfig(Section):
    """Where verdicts wait for the broker, how many megabytes and how many hours at most, and how
    sure a verdict must be before it is announced."""

    path: Path = STATE / "outbox.db"
    durability: Durability = "strict"
    window_ms: float = Field(default=500, ge=1, le=60_000)
    max_mb: float = Field(default=512, ge=0.1, le=1_000_000)
    max_age_h: float = Field(default=24 * 14, gt=0, le=24 * 3650)


class ArchiveConfig(Section):
    """Which pictures are kept as evidence, and how many megabytes of them."""

    enabled: bool = False
    path: Path = STATE / "archive"
    keep: tuple[Outcome, ...] = ("fail", "review")
    max_mb: float = Field(default=1024, ge=1, le=10_000_000)


class WebConfig(Section):
    """HTTP on this box: /predict, /healthz, /metrics."""

    enabled: bool = False
    bind: str = Field(default="127.0.0.1", min_length=1)
    port: Port = 8080
    token_file: Path | None = None
    max_mb: float = Field(default=20, gt=0, le=1024)


class HealthConfig(Section):
    """How often `health` is published, in seconds."""

    interval_s: float = Field(default=10, ge=0.5, le=3600)


class LogConfig(Section):
    """How much the log says."""

    level: Level = "info"


class Config(Section):
    """The whole file. Only `station`, `model.path` and one camera have no default."""

    station: TopicLevel
    model: ModelConfig
    cameras: tuple[CameraConfig, ...] = Field(min_length=1)
    decision: DecisionConfig = DecisionConfig()
    mqtt: MqttConfig = MqttConfig()
    outbox: OutboxConfig = OutboxConfig()
    archive: ArchiveConfig = ArchiveConfig()
    web: WebConfig = WebConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change when any effective value changes."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def topic(self) -> str:
        """`<prefix>/<station>`, the base of every topic."""
        return f"{self.mqtt.prefix}/{self.station}"

    @property
    def client_id(self) -> str:
        """The name under which the broker knows this box."""
        return self.mqtt.client_id or f"edge-inspect-{self.station}"


def mask_credentials(source: str) -> str:
    """A camera source with `user:password@` hidden, fit for logs and topics."""
    return re.sub(r"(://)[^/?#\s]*@", r"\1***@", source)  # up to the last @ before the path
