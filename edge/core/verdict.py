"""A verdict: the daemon's judgement of a part."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edge.core.part import Part
from edge.core.terms import RuleName
from edge.core.view import ViewConfig

Outcome = Literal["pass", "review", "fail", "error"]
OUTCOMES: tuple[Outcome, ...] = ("pass", "review", "fail", "error")


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model that judged. `sha256`: of the whole .tflite file, 64 hexadecimal digits."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RecipeIdentity:
    """The recipe that a verdict belongs to. `name`: None for a number that config.yaml does not
    have."""

    number: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """How the frames of a part became one verdict.

    - `frames`: the number of frames that the part needed.
    - `scores`: of the judged frames, 0 to 1, in order of capture.
    - `k`: for `k_of_n` only.
    - `regions`: the scores by region when the worst decides; else empty.
    - `hysteresis`: how much the previous verdict lowered the thresholds, 0 to 1.
    """

    name: RuleName = "single"
    frames: int = 1
    scores: tuple[float, ...] = ()
    k: int | None = None
    regions: dict[str, float] = field(default_factory=dict)
    hysteresis: float = 0.0


@dataclass(frozen=True, slots=True)
class Judging:
    """How a camera's pictures are judged, beyond the verdict's fields: with the picture, this is
    all that judging it again takes. All verdicts of a judge on a camera share one.

    - `view`: the region that was cut out of the picture.
    - `decoding`: the model's rule for JPEGs as it was applied; None: whole and in colour.
    - `settings`: the good class, and what config.yaml says of a plain model.
    - `runtime`: what ran the model: litert or tflite-runtime.
    """

    view: ViewConfig
    decoding: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    runtime: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement. Only `seq` is missing: the outbox assigns it when it stores the verdict.

    - `captured_at`: seconds since the epoch, UTC.
    - `score`: P(defective), 0 to 1; None without a judgement.
    - `region`: the view's region; None for the whole view.
    - `trigger`, `trigger_to_verdict_ms`: the part's trigger and the time from it to the verdict;
      None when no trigger announced the part.
    - `receipt`: `Frame.receipt`, for the outbox only.
    - `judging`: for the evidence only.
    - `recipe`: None when config.yaml has no recipes, or none was chosen.
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
    judging: Judging | None = None
    recipe: RecipeIdentity | None = None


def unusable(verdict: Verdict, now: float, reason: str) -> Verdict:
    """The `error` verdict in place of one with values that no message can hold. `now`: seconds
    since the epoch."""
    return replace(
        verdict,
        captured_at=now,
        verdict="error",
        label=None,
        score=None,
        probabilities={},
        capture_to_verdict_ms=0.0,
        inference_ms=None,
        reason=reason,
        rule=replace(verdict.rule, scores=(), regions={}),
        trigger_to_verdict_ms=0.0,
    )
