"""A verdict: the one thing this daemon exists to say about a part. It travels one way."""

from dataclasses import dataclass, field
from typing import Literal

from edge.core.part import Part
from edge.core.terms import RuleName

Outcome = Literal["pass", "review", "fail", "error"]
OUTCOMES: tuple[Outcome, ...] = ("pass", "review", "fail", "error")


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model judged. `sha256` is of the whole .tflite file, 64 hexadecimal digits."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Rule:
    """How a verdict came about. `frames` were wanted; `scores` are those of the frames judged, 0 to
    1, in order of capture. `k` belongs to `k_of_n` alone. `regions` are the scores of the regions
    of which the worst decided, empty otherwise. `hysteresis` is what the thresholds were lowered by
    because the verdict before was worse, 0 to 1.
    """

    name: RuleName = "single"
    frames: int = 1
    scores: tuple[float, ...] = ()
    k: int | None = None
    regions: dict[str, float] = field(default_factory=dict)
    hysteresis: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement, complete but for `seq`, which the outbox gives it when it is stored.

    `captured_at` is seconds since the epoch, UTC. `score` is P(defective), 0 to 1, None without a
    judgement. Latencies are milliseconds. `receipt` is `Frame.receipt`, for the outbox alone.
    `trigger` is the part's trigger, `trigger_to_verdict_ms` how long it had to wait for this; both
    None where frames are judged as they come. `region` is the region of the view, None for all.
    """

    id: str
    boot_id: str
    station: str
    camera: str
    part: str | None
    captured_at: float
    verdict: Outcome
    label: str | None
    score: float | None
    probabilities: dict[str, float]
    reject_at: float | None
    review_from: float | None
    model: ModelIdentity | None
    config: str
    frame_width: int
    frame_height: int
    frame_seq: int
    capture_to_verdict_ms: float
    inference_ms: float | None
    reason: str | None = None
    region: str | None = None
    rule: Rule = Rule()
    trigger: Part | None = None
    trigger_to_verdict_ms: float | None = None
    receipt: str | None = None
