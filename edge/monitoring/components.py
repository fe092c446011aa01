"""What health and the supervisor read of the running components, one Protocol per component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.capture.reader import State
from edge.core.percentiles import Latencies
from edge.core.terms import TriggerKind
from edge.core.verdict import Outcome
from edge.mqtt.puback import Cause
from edge.pipeline import DecodeParity
from edge.storage import OutboxStats


class CameraReader(Protocol):
    """The reader of one camera. Counters are since the start of the daemon."""

    id: str
    state: State
    why: str
    frames: int
    passed_over: int
    faults: int
    reconnects: int

    @property
    def repeated(self) -> int:
        """Pictures that equalled the one before."""

    @property
    def frozen(self) -> int:
        """Pictures of a camera that stood still."""

    @property
    def distrusted(self) -> dict[str, int]:
        """Losses and rejected pictures, by kind."""

    def last_frame_age_s(self) -> float | None:
        """Seconds since the last picture; None before the first."""

    def check(self) -> None:
        """Announces a camera that is silent for too long."""

    def stuck_s(self) -> float:
        """For how many seconds a driver has held the camera's thread."""


class TriggerSettings(Protocol):
    """Of a part tracker."""

    @property
    def kind(self) -> TriggerKind:
        """What announces parts."""


class PartTracker(Protocol):
    """The part tracker of one camera."""

    triggered: int
    refused: int
    unused: int

    @property
    def config(self) -> TriggerSettings:
        """Its settings."""

    @property
    def open(self) -> int:
        """Parts without a verdict."""


class WorkerPool(Protocol):
    """The inspection workers."""

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many verdicts of each outcome."""

    @property
    def beat(self) -> float:
        """When the slowest worker last made progress, monotonic seconds."""

    def replaced(self, camera: str) -> int:
        """How many frames of a camera were replaced before they were judged."""


class Outbox(Protocol):
    """The outbox's writer."""

    @property
    def beat(self) -> float:
        """When it last made progress, monotonic seconds."""

    @property
    def fault(self) -> str:
        """Why the disk refuses verdicts; empty when it does not."""

    def stats(self) -> OutboxStats:
        """Counts of what is stored, sent and lost."""


class Broker(Protocol):
    """The publisher, and its connection."""

    @property
    def beat(self) -> float:
        """When it last made progress, monotonic seconds."""

    @property
    def state(self) -> str:
        """Of the connection."""

    @property
    def why(self) -> str:
        """Why there is no connection; empty when there is one."""

    @property
    def reconnects(self) -> int:
        """Connections after the first."""

    @property
    def at(self) -> str:
        """The broker's host and port."""

    @property
    def version(self) -> str:
        """Of MQTT."""

    @property
    def refused(self) -> Mapping[Cause, int]:
        """Messages that the broker refused, by cause."""

    def faults(self) -> Sequence[str]:
        """Sentences that say what is wrong, and what to do."""

    def announce(self, name: str, body: bytes) -> None:
        """Publishes a retained body."""


class RequestCounts(Protocol):
    """The request router."""

    heard: int
    refused: int
    dropped: int


class PictureCounts(Protocol):
    """The publisher of pictures."""

    def counts(self) -> dict[str, Any]:
        """`sent`, and `skipped` by cause."""


class ReloadOutcome(Protocol):
    """How the last reload of config.yaml ended."""

    @property
    def problems(self) -> Sequence[str]:
        """Why the file was refused; empty when it was not."""

    @property
    def restart_required(self) -> Sequence[str]:
        """Keys that changed, and wait for a restart."""


class Journal(Protocol):
    """The journal of open parts."""

    @property
    def fault(self) -> str:
        """Why it cannot be written; empty when it can."""


class DecodingModel(Protocol):
    """The model that judges now."""

    @property
    def parity(self) -> DecodeParity:
        """Compares reduced with whole decoding."""


@dataclass(frozen=True, slots=True)
class Components:
    """The running components. `readers` and `trackers` are by camera, and may change."""

    readers: Mapping[str, CameraReader]
    workers: WorkerPool
    latencies: Latencies
    writer: Outbox
    publisher: Broker
    trackers: Mapping[str, PartTracker] = field(default_factory=dict)
    requests: RequestCounts | None = None
    pictures: PictureCounts | None = None
    reload: ReloadOutcome | None = None
    open_parts: Journal | None = None
    model: DecodingModel | None = None
