"""Verdicts to store and send, and the schemas they must obey."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from edge.identity import uuid7
from edge.part import Part
from edge.verdict import ModelIdentity, Verdict

SCHEMAS = Path(__file__).parents[3] / "docs" / "schema"
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
    """A good verdict with an id of its own, but for `changes`."""
    return replace(_PLAIN, **{"id": uuid7(), **changes})


def an_error(**changes: Any) -> Verdict:
    """An `error` verdict, as a lost camera gives it."""
    fault: dict[str, Any] = {"verdict": "error", "label": None, "score": None, "probabilities": {}}
    none = {"frame_width": 0, "frame_height": 0, "inference_ms": None, "reason": "camera lost"}
    return a_verdict(**{**fault, **none, **changes})


def a_part(**changes: Any) -> Part:
    """A part that a request triggered at NOON, but for `changes`."""
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


def validator(name: str) -> Draft202012Validator:
    """The validator of docs/schema/NAME.schema.json."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
