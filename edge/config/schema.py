"""config.yaml as typed, frozen values: the keys, their ranges and defaults."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from edge.config.address import BindAddress, check_url, is_loopback
from edge.config.annotations import (
    ConfigPath,
    ModelPath,
    NeedsRestart,
    OnlyFor,
    ReadableFile,
    SecretFile,
    Share,
    folder_of,
    keys_for,
    kinds_of,
    names_model,
)
from edge.config.mqtt import TOPIC_RULE, MqttConfig, Port
from edge.config.recipes import MAX_RECIPES, RecipeConfig
from edge.config.trigger import (
    AlarmConfig,
    GpioOutputsConfig,
    RecipePinsConfig,
    StationOutputsConfig,
    TriggerConfig,
)
from edge.core.record import Items, Model, Pattern
from edge.core.terms import Durability, LogLevel, OutputKind, Runtime, Scaling
from edge.core.text import typed
from edge.core.verdict import Outcome
from edge.core.view import ViewConfig

STATE = Path("/var/lib/edge-inspect")
_TOKEN_FILE = "/etc/edge-inspect/web-token"  # noqa: S105  a path

TopicLevel = Annotated[
    str, Field(max_length=64), Pattern(r"[^+#/\x00-\x1f]+", TOPIC_RULE), AfterValidator(typed)
]
Label = Annotated[str, AfterValidator(typed)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=16, le=16384)]
Seconds = Annotated[float, Field(ge=0.1, le=3600)]

_DRIVEN_KINDS = frozenset({"v4l2", "rtsp", "http", "https", "gstreamer", "picamera", "pylon"})
_LIVE_KINDS = _DRIVEN_KINDS | {"test"}
_ADDRESS_KINDS = frozenset({"rtsp", "http", "https"})
_ITEM_KINDS = frozenset({"folder", "replay"})

_LIVE = OnlyFor(*_LIVE_KINDS)
_SIZED = OnlyFor("v4l2", "picamera", "pylon", "test")
_ADAPTING_KINDS = frozenset({"v4l2", "rtsp", "http", "https", "picamera"})  # automatic exposure


def _check_source(source: str, info: ValidationInfo) -> str:
    kind, colon, rest = source.partition(":")
    if not colon or kind not in _LIVE_KINDS | _ITEM_KINDS:
        raise ValueError(
            "must be v4l2:/dev/video0, rtsp://…, http://…, pylon:SERIAL, picamera:0, "
            "gstreamer:PIPELINE, folder:PATH, replay:PATH or test:"
        )
    if kind not in ("test", "pylon") and not rest:
        raise ValueError(f"holds only {kind!r}; add the device, address or path")
    if kind in _ADDRESS_KINDS:
        check_url(kind, rest)
    folder = folder_of(info)
    return f"{kind}:{folder / rest}" if kind in _ITEM_KINDS and folder is not None else source


DaySpan = Annotated[
    str,
    Pattern(
        r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d",
        "be two times of the day, such as 22:00-05:30",
    ),
]


def _optional(*keys: str) -> ConfigDict:
    """For editors: these keys may be absent, because the loader fills them in."""

    def relax(schema: dict[str, Any]) -> None:
        schema["required"] = [key for key in schema.get("required", ()) if key not in keys]
        if not schema["required"]:
            del schema["required"]

    return ConfigDict(json_schema_extra=relax)


class ModelConfig(Model):
    """The model and its runtime.

    - `path`: a file, or the name of a model under `models.path`.
    - `recipes_mb`: how much memory the models of all recipes may take, in MB; those that do not fit
      are loaded when they are chosen.
    """

    model_config = _optional("path")

    path: ModelPath
    interpreter: Runtime = "auto"
    threads: Annotated[int, Field(ge=1, le=16)] = 1
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=16)] = "auto"
    decoding: Literal["auto", "whole"] = "auto"
    labels: Annotated[Items[Label], Field(min_length=2)] | None = None
    ok_label: Label | None = None
    output: OutputKind | None = None
    scaling: Scaling | None = None
    check_pictures: ConfigPath | None = None
    recipes_mb: Annotated[float, Field(ge=1, le=1_000_000)] = 256.0


class ProbationConfig(Model):
    """`models.probation`: a new version goes back by itself when its rates jump.

    - `parts`: how many it judges before it counts as good; 0: none goes back.
    - `false_returns`: how often, at most, a version goes back that judges as the one before.
    """

    parts: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    false_returns: Annotated[float, Field(gt=0, le=0.2)] = 0.01


class WindowConfig(Model):
    """`models.window`: when an activation may take place. Each key that is set must hold.

    - `idle_s`: no part for so many seconds.
    - `times`: of the day, local time, as `HH:MM-HH:MM`; one may pass midnight.
    - `permit`: the plant has given a permit, which it does by `request/models`.
    """

    idle_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    times: Annotated[Items[DaySpan], Field(max_length=24)] = ()
    permit: bool = False


class ModelsConfig(Model):
    """The model store: versions that commands install and activate.

    - `path`: its folder.
    - `keys`: public keys of minisign; with any, each model file must be signed by one of them.
    - `max_mb`: the limit of all versions together.
    """

    path: ConfigPath = STATE / "models/versions"
    keys: Annotated[Items[ReadableFile], Field(max_length=2)] = ()
    max_mb: Annotated[float, Field(ge=1, le=1_000_000)] = 1024.0
    probation: ProbationConfig = ProbationConfig()
    window: WindowConfig = WindowConfig()


class TrustConfig(Model):
    """Limits for a live picture. Grey levels are 0 to 255; 0 (`bright_above`: 255) means off."""

    max_age_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    dark_below: Annotated[int, Field(ge=0, le=255)] = 16
    bright_above: Annotated[int, Field(ge=0, le=255)] = 250
    min_contrast: Annotated[int, Field(ge=0, le=255)] = 10
    min_focus: Annotated[float, Field(gt=0)] | None = None


class CameraTLSConfig(Model):
    """The certificate of an https: camera. `ca`: its own or its authority's, as PEM; None: the
    system's certificates."""

    ca: ReadableFile | None = None
    insecure_skip_hostname: bool = False


class CameraConfig(Model):
    """One camera. `source` is `kind:rest`; most other keys fit some kinds only."""

    id: TopicLevel
    source: Annotated[str, AfterValidator(_check_source)]
    rate: Annotated[Literal["max"] | Annotated[float, Field(gt=0, le=1000)], OnlyFor("replay")] = (
        "max"
    )
    loop: Annotated[int, Field(ge=1), OnlyFor("replay")] = 1
    width: Annotated[Pixels | None, _LIVE] = None
    height: Annotated[Pixels | None, _LIVE] = None
    fps: Annotated[Annotated[float, Field(gt=0, le=1000)] | None, _SIZED] = None
    pixel_format: Annotated[
        Annotated[str, Field(min_length=1, max_length=32)] | None, OnlyFor("v4l2", "pylon")
    ] = None
    controls: Annotated[
        dict[str, bool | int | float | str], OnlyFor("v4l2", "picamera", "pylon")
    ] = Field(default={})
    credentials_file: Annotated[SecretFile | None, OnlyFor("rtsp", "http", "https")] = None
    tls: Annotated[CameraTLSConfig | None, OnlyFor("https")] = None
    transport: Annotated[Literal["tcp", "udp"], OnlyFor("rtsp")] = "tcp"
    open_timeout_s: Annotated[Seconds, OnlyFor(*_DRIVEN_KINDS)] = 10.0
    timeout_s: Annotated[Seconds, _LIVE] = 5.0
    frozen_after: Annotated[Annotated[int, Field(ge=2)] | None, _LIVE] = 5
    settle_s: Annotated[Annotated[float, Field(ge=0, le=600)], _LIVE] = 0.0
    settle_frames: Annotated[Annotated[int, Field(ge=0, le=100_000)], _LIVE] = 0
    settle_steady: Annotated[Literal["auto"] | bool, _LIVE] = "auto"
    trigger: TriggerConfig = TriggerConfig()
    view: ViewConfig | None = None
    outputs: GpioOutputsConfig = GpioOutputsConfig()
    recipe_pins: RecipePinsConfig | None = None
    trust: Annotated[TrustConfig, _LIVE] = TrustConfig()
    move_to: Annotated[ConfigPath | None, OnlyFor("folder")] = None

    @property
    def kind(self) -> str:
        return self.source.partition(":")[0]

    @property
    def rest(self) -> str:
        return self.source.partition(":")[2]

    @property
    def has_driver(self) -> bool:
        """Whether a driver delivers the frames, which may hang or crash. Such a camera runs in a
        separate process."""
        return self.kind in _DRIVEN_KINDS

    @property
    def live(self) -> bool:
        """Whether frames arrive in real time; folders and replays deliver items."""
        return self.kind in _LIVE_KINDS

    @property
    def waits_until_steady(self) -> bool:
        """Whether pictures are judged only once their brightness is steady after an opening."""
        if self.settle_steady == "auto":
            return self.kind in _ADAPTING_KINDS
        return self.settle_steady

    @property
    def effective_keys(self) -> frozenset[str]:
        """The keys that have an effect for this kind of source."""
        return keys_for(type(self), self.kind)

    @model_validator(mode="after")
    def _check_given(self, info: ValidationInfo) -> Self:
        if self.move_to is not None and Path(self.rest) == self.move_to:
            raise ValueError("move_to is the folder itself; name another one")
        for key in sorted(self.given(info) - self.effective_keys):
            kinds = ", ".join(sorted(kinds_of(type(self), key) or ()))
            raise ValueError(
                f"{key} does nothing for a {self.kind}: source (only for {kinds}); remove it"
            )
        return self

    @model_validator(mode="after")
    def _check_trigger(self) -> Self:
        if self.kind in _ITEM_KINDS and self.trigger.announces:
            raise ValueError(
                f"a {self.kind}: source needs no trigger; remove trigger, or use a camera"
            )
        if self.trigger.kind == "folder" and self.kind != "folder":
            raise ValueError("a folder trigger needs a folder: source; choose another kind")
        return self


class DecisionConfig(Model):
    """Thresholds (None: those of the model file), the deadline and the alarm."""

    reject_at: Fraction | None = None
    review_from: Fraction | None = None
    deadline_ms: Annotated[float, Field(ge=1, le=3_600_000)] = 2000.0
    hysteresis: Annotated[float, Field(ge=0, lt=1)] = 0.0
    alarm: AlarmConfig = AlarmConfig()
    outputs: StationOutputsConfig = StationOutputsConfig()

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.reject_at is None or self.review_from is None:
            return self
        if self.review_from > self.reject_at:
            raise ValueError(
                f"review_from {self.review_from} is above reject_at {self.reject_at}; "
                "review lies between the two"
            )
        return self


class OutboxConfig(Model):
    """The verdicts that wait for the broker.

    - `max_mb`, `max_age_h`: the limits, in MB and in hours.
    - `durability`: how safely a verdict is stored before it is published.
    - `window_ms`: the longest time between two writes in `balanced`.
    """

    path: ConfigPath = STATE / "outbox.db"
    durability: Durability = "strict"
    window_ms: Annotated[float, Field(ge=1, le=60_000)] = 500.0
    max_mb: Annotated[float, Field(ge=0.1, le=1_000_000)] = 512.0
    max_age_h: Annotated[float, Field(gt=0, le=24 * 3650)] = 24.0 * 14


class HistoryConfig(Model):
    """The verdicts that the box remembers, and their limits in MB (0: none) and in days."""

    max_mb: Annotated[float, Field(ge=0, le=1_000_000)] = 200.0
    max_age_d: Annotated[float, Field(gt=0, le=3650)] = 90.0


class ArchiveConfig(Model):
    """The pictures that are kept as evidence, and their limits.

    - `keep`: all pictures of these verdicts.
    - `near_threshold`: also those whose score is at most so far from a threshold; 0: none.
    - `pass_sample`: also this share of `pass`, drawn at random; 0: none.
    - `lossless`: a frame without a JPEG of its own is kept as PNG, else as a JPEG of quality 90.
    - `max_mb`, `max_age_d`: the limits, in MB and in days; without `max_age_d` age is no reason.
    - `min_free_mb`: free on the disk at least; below it no picture is kept.
    """

    enabled: bool = False
    path: ConfigPath = STATE / "archive"
    keep: Items[Outcome] = ("fail", "review")
    near_threshold: Fraction = 0.0
    pass_sample: Share = 0.0
    lossless: bool = True
    max_mb: Annotated[float, Field(ge=1, le=10_000_000)] = 1024.0
    max_age_d: Annotated[float, Field(ge=1, le=36_500)] | None = None
    min_free_mb: Annotated[float, Field(ge=0, le=10_000_000)] = 100.0

    @property
    def rate_in_force(self) -> float:
        """The share of `pass` of which pictures are kept at random; 0 while none are kept."""
        return self.pass_sample if self.enabled else 0.0


class WebConfig(Model):
    """HTTP on this box: /predict, /healthz, /metrics."""

    enabled: bool = False
    bind: BindAddress = "127.0.0.1"
    port: Port = 8080
    token_file: SecretFile | None = None
    max_mb: Annotated[float, Field(gt=0, le=1024)] = 20.0

    @model_validator(mode="after")
    def _check_reachable(self) -> Self:
        """Whoever reaches the port could trigger parts and read the metrics."""
        if self.enabled and self.token_file is None and not is_loopback(self.bind):
            raise ValueError(
                f"bind {self.bind} makes the box reachable for everyone in the network; add under "
                f"web:  token_file: {_TOKEN_FILE}  and make the file: openssl rand -hex 32 | sudo "
                f"install -m 640 -g edge-inspect /dev/stdin {_TOKEN_FILE}; or set  bind: 127.0.0.1"
            )
        return self


class HealthConfig(Model):
    """The interval of `health`, in seconds."""

    interval_s: Annotated[float, Field(ge=0.5, le=3600)] = 10.0


class LogConfig(Model):
    level: LogLevel = "info"


def _top_level(schema: dict[str, Any]) -> None:
    """For editors: the reader drops keys that begin with x-, and fills `model` in when every recipe
    names its own."""
    schema["patternProperties"] = {"^x-": {}}
    schema["required"] = [key for key in schema["required"] if key != "model"]


class Config(Model):
    """The whole file. Only `station`, `model.path` and one camera are required."""

    model_config = ConfigDict(json_schema_extra=_top_level)

    station: Annotated[TopicLevel, NeedsRestart()]
    model: ModelConfig
    models: ModelsConfig = ModelsConfig()
    recipes: Annotated[Items[RecipeConfig], Field(max_length=MAX_RECIPES)] = ()
    cameras: Annotated[Items[CameraConfig], Field(min_length=1)]
    decision: DecisionConfig = DecisionConfig()
    mqtt: MqttConfig = MqttConfig()
    outbox: Annotated[OutboxConfig, NeedsRestart()] = OutboxConfig()
    history: HistoryConfig = HistoryConfig()
    archive: ArchiveConfig = ArchiveConfig()
    web: Annotated[WebConfig, NeedsRestart()] = WebConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits. They change with any effective value."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def topic(self) -> str:
        """`<prefix>/<station>`, the base of every topic."""
        return f"{self.mqtt.prefix}/{self.station}"

    @property
    def model_folder(self) -> Path:
        """Where a file changes when another model is put there."""
        named = names_model(self.model.path)
        return self.models.path / "names" if named else self.model.path.parent

    @property
    def client_id(self) -> str:
        return self.mqtt.client_id or f"edge-inspect-{self.station}"
