"""Complete verdicts and parts for tests, with optional changes."""

from dataclasses import replace
from typing import Any

from edge.core.ids import uuid7
from edge.core.part import Part
from edge.core.verdict import ModelIdentity, Outcome, Verdict

BOOT = "2f6c1a9e-7d54-4c1b-9a43-0c8f6d2b1e77"
NOON = 1_790_000_000.0

_PLAIN = Verdict(
    id="",
    boot_id=BOOT,
    station="line1",
    camera="top",
    part=None,
    captured_at=NOON + 0.1234,
    verdict="fail",
    label="scratch",
    score=0.87654321,
    probabilities={"ok": 0.12345679, "scratch": 0.87654321},
    reject_at=0.6,
    review_from=0.4,
    model=ModelIdentity("cells", "3", "ab" * 32),
    config="0123456789ab",
    frame_width=640,
    frame_height=480,
    frame_seq=7,
    capture_to_verdict_ms=12.34567,
    inference_ms=0.98765,
)


def a_verdict(**changes: Any) -> Verdict:
    """A valid verdict with a new id and `changes`."""
    return replace(_PLAIN, **{"id": uuid7(), **changes})


def an_error(**changes: Any) -> Verdict:
    """An `error` verdict of a lost camera."""
    fault: dict[str, Any] = {"verdict": "error", "label": None, "score": None, "probabilities": {}}
    none = {"frame_width": 0, "frame_height": 0, "inference_ms": None, "reason": "camera lost"}
    return a_verdict(**{**fault, **none, **changes})


def a_part(**changes: Any) -> Part:
    """A part that a request triggered at NOON, with `changes`."""
    part = Part(
        camera="top",
        number=4,
        kind="request",
        name="P-7",
        transaction="t-9",
        at=NOON,
        tick=1000.0,
        due=1000.0,
        latest=1001.0,
        until=1001.0,
        frames=1,
    )
    return replace(part, **changes)


def verdict(outcome: Outcome, number: int = 0, camera: str = "top") -> Verdict:
    """A verdict with this outcome. `number` is part of its id."""
    score = {"pass": 0.1, "review": 0.5, "fail": 0.9}.get(outcome)
    return Verdict(
        id=f"018bcfe5-6800-7000-8000-{number:012d}",
        boot_id="b-1",
        station="line1",
        camera=camera,
        part=None,
        captured_at=1_700_000_000.0,
        verdict=outcome,
        label=None if score is None else "red",
        score=score,
        probabilities={} if score is None else {"ok": 1 - score, "red": score},
        reject_at=0.6,
        review_from=0.4,
        model=None,
        config="0123456789ab",
        frame_width=32,
        frame_height=32,
        frame_seq=number,
        capture_to_verdict_ms=5.0,
        inference_ms=1.0,
        reason="camera lost" if score is None else None,
    )
