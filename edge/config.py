"""config.yaml as typed, frozen values: what each key means, its range and its default."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from edge.mqttconfig import IN_TOPIC, MqttConfig, Port
from edge.section import Section
from edge.terms import Durability, OutputKind, Runtime
from edge.triggering import AlarmConfig, LampsConfig, StationOutputsConfig, TriggerConfig
from edge.trustconfig import TrustConfig
from edge.verdict import Outcome
from edge.view import ViewConfig

STATE = Path("/var/lib/edge-inspect")
_OUTBOX, _ARCHIVE = STATE / "outbox.db", STATE / "archive"

Level = Literal["debug", "info", "warning", "error"]
TopicLevel = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[^+#/\x00-\x1f]+$(?!\n)", extra=IN_TOPIC)
]
Fraction = Annotated[float, Meta(ge=0, le=1)]

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


def _shown(default: Path) -> Meta:
    """The default of a path for the JSON Schema. msgspec makes that, knows no Path, and passes over
    default factories."""
    return Meta(extra_json_schema={"default": str(default)})


def _check_source(source: str) -> None:
    kind, colon, rest = source.partition(":")
    if not colon or kind not in LIVE_KINDS | ITEM_KINDS:
        raise ValueError(
            "must be v4l2:/dev/video0, rtsp://…, http://…, pylon:SERIAL, picamera:0, "
            "gstreamer:PIPELINE, folder:PATH, replay:PATH or test:"
        )
    if kind not in ("test", "pylon") and not rest:
        raise ValueError(f"says no more than {kind!r}; name the device, address or path")


class ModelConfig(Section, frozen=True):
    """Which model judges, and how it is run."""

    path: Path
    interpreter: Runtime = "auto"
    threads: Annotated[int, Meta(ge=1, le=16)] = 1
    workers: Literal["auto"] | Annotated[int, Meta(ge=1, le=16)] = "auto"
    decoding: Literal["auto", "whole"] = "auto"
    labels: Annotated[tuple[str, ...], Meta(min_length=2)] | None = None
    ok_label: str | None = None
    output: OutputKind | None = None


class CameraConfig(Section, frozen=True):
    """One camera: `source` is `kind:rest`; the other keys belong to some kinds only."""

    id: TopicLevel
    source: Annotated[str, _check_source]
    rate: Literal["max"] | Annotated[float, Meta(gt=0, le=1000)] = "max"
    loop: Annotated[int, Meta(ge=1)] = 1
    width: Annotated[int, Meta(ge=16, le=16384)] | None = None
    height: Annotated[int, Meta(ge=16, le=16384)] | None = None
    fps: Annotated[float, Meta(gt=0, le=1000)] | None = None
    pixel_format: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    controls: dict[str, bool | int | float | str] = field(default_factory=dict)
    credentials_file: Path | None = None
    open_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    frozen_after: Annotated[int, Meta(ge=2)] | None = 5
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

    def check_given(self, given: frozenset[str]) -> None:
        """Raises ValueError for a key that does nothing for this source."""
        if self.move_to is not None and Path(self.rest) == self.move_to:
            raise ValueError("move_to is the folder itself; name another one")
        for option in sorted(given & OPTION_OF.keys()):
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


class DecisionConfig(Section, frozen=True):
    """Thresholds over those of the model file, and the deadline. None: the model file's."""

    reject_at: Fraction | None = None
    review_from: Fraction | None = None
    deadline_ms: Annotated[float, Meta(ge=1, le=3_600_000)] = 2000.0
    hysteresis: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    alarm: AlarmConfig = AlarmConfig()
    outputs: StationOutputsConfig = StationOutputsConfig()

    def __post_init__(self) -> None:
        """Raises ValueError for thresholds in the wrong order."""
        if self.reject_at is None or self.review_from is None:
            return
        if self.review_from > self.reject_at:
            raise ValueError(
                f"review_from {self.review_from} is above reject_at {self.reject_at}; "
                "review lies between the two"
            )


class OutboxConfig(Section, frozen=True):
    """Where verdicts wait for the broker, how many megabytes and how many hours at most, and how
    sure a verdict must be before it is announced."""

    path: Annotated[Path, _shown(_OUTBOX)] = field(default_factory=lambda: _OUTBOX)
    durability: Durability = "strict"
    window_ms: Annotated[float, Meta(ge=1, le=60_000)] = 500.0
    max_mb: Annotated[float, Meta(ge=0.1, le=1_000_000)] = 512.0
    max_age_h: Annotated[float, Meta(gt=0, le=24 * 3650)] = 24.0 * 14


class ArchiveConfig(Section, frozen=True):
    """Which pictures are kept as evidence, and how many megabytes of them."""

    enabled: bool = False
    path: Annotated[Path, _shown(_ARCHIVE)] = field(default_factory=lambda: _ARCHIVE)
    keep: tuple[Outcome, ...] = ("fail", "review")
    max_mb: Annotated[float, Meta(ge=1, le=10_000_000)] = 1024.0


class WebConfig(Section, frozen=True):
    """HTTP on this box: /predict, /healthz, /metrics."""

    enabled: bool = False
    bind: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    token_file: Path | None = None
    max_mb: Annotated[float, Meta(gt=0, le=1024)] = 20.0


class HealthConfig(Section, frozen=True):
    """How often `health` is published, in seconds."""

    interval_s: Annotated[float, Meta(ge=0.5, le=3600)] = 10.0


class LogConfig(Section, frozen=True):
    """How much the log says."""

    level: Level = "info"


class Config(Section, frozen=True):
    """The whole file. Only `station`, `model.path` and one camera have no default."""

    station: TopicLevel
    model: ModelConfig
    cameras: Annotated[tuple[CameraConfig, ...], Meta(min_length=1)]
    decision: DecisionConfig = DecisionConfig()
    mqtt: MqttConfig = MqttConfig()
    outbox: OutboxConfig = field(default_factory=OutboxConfig)  # as its path: see _shown
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    web: WebConfig = WebConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change when any effective value changes."""
        text = json.dumps(self.said(), sort_keys=True)
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
