"""Verdict ⇄ JSON: the bodies of the contract, schema `edge-inspect/result/1` and `…/status/1`."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from edge.delivery.events import About
from edge.part import Part
from edge.verdict import Rule, Verdict

RESULT_SCHEMA = "edge-inspect/result/1"
STATUS_SCHEMA = "edge-inspect/status/1"

# one for all: `json.dumps` with options makes a new one each time
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
)

_SORTED_BY = ("schema", "station", "camera", "verdict")
# The head of a body as `result_body` orders it, without escapes where they matter.
_TEXT = rb'"([^"\\]*)"'
_HEAD = re.compile(
    rb'\{"schema":'
    + _TEXT
    + rb',"id":"[^"\\]*","seq":\d+,"boot_id":"[^"\\]*","station":'
    + _TEXT
    + rb',"camera":'
    + _TEXT
    + rb',"part":(?:null|"(?:[^"\\]|\\.)*"),"captured_at":"[^"\\]*"'
    + rb',"verdict":'
    + _TEXT
    + rb","
)


def rfc3339(epoch_s: float) -> str:
    """Seconds since the epoch as RFC 3339 text in UTC with milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def to_json(body: dict[str, Any]) -> bytes:
    """Compact UTF-8 JSON. Raises ValueError for NaN and infinity, which no PLC gateway reads."""
    return _ENCODER.encode(body).encode("utf-8", "backslashreplace")


def result_body(verdict: Verdict, seq: int) -> dict[str, Any]:
    """A `result` body without `replayed`, which is known only when it is sent."""
    return {
        "schema": RESULT_SCHEMA,
        "id": verdict.id,
        "seq": seq,
        "boot_id": verdict.boot_id,
        "station": verdict.station,
        "camera": verdict.camera,
        "part": verdict.part,
        "captured_at": rfc3339(verdict.captured_at),
        "verdict": verdict.verdict,
        "label": verdict.label,
        "score": _rounded(verdict.score, 6),
        "probabilities": {k: round(p, 6) for k, p in verdict.probabilities.items()},
        "thresholds": {"reject_at": verdict.reject_at, "review_from": verdict.review_from},
        "model": None
        if verdict.model is None
        else {
            "name": verdict.model.name,
            "version": verdict.model.version,
            "sha256": verdict.model.sha256,
        },
        "config": verdict.config,
        "frame": {
            "width": verdict.frame_width,
            "height": verdict.frame_height,
            "seq": verdict.frame_seq,
        },
        "latency_ms": {
            "capture_to_verdict": round(verdict.capture_to_verdict_ms, 3),
            "inference": _rounded(verdict.inference_ms, 3),
        },
        "reason": verdict.reason,
        "region": verdict.region,
        "rule": _rule(verdict.rule),
        "trigger": None if verdict.trigger is None else _trigger(verdict, verdict.trigger),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "frames": rule.frames,
        "k": rule.k,
        "scores": [round(score, 6) for score in rule.scores],
        "regions": {name: round(score, 6) for name, score in rule.regions.items()},
        "hysteresis": rule.hysteresis,
    }


def _trigger(verdict: Verdict, part: Part) -> dict[str, Any]:
    return {
        "kind": part.kind,
        "number": part.number,
        "transaction": part.transaction,
        "at": rfc3339(part.at),
        "to_verdict_ms": _rounded(verdict.trigger_to_verdict_ms, 3),
    }


def stored_body(verdict: Verdict, seq: int) -> bytes:
    """What the outbox keeps of a verdict."""
    return to_json(result_body(verdict, seq))


def sent_body(stored: bytes, *, replayed: bool) -> bytes:
    """What goes on the wire: the stored body with `replayed` as its last member."""
    return stored[:-1] + (b',"replayed":true}' if replayed else b',"replayed":false}')


def about_result(sent: bytes, left_s: float) -> About:
    """MQTT 5's properties of a result: what a broker's rule may sort by, copied from the body, and
    the seconds until the outbox itself would drop it."""
    found = _HEAD.match(sent)
    if found is not None:  # a tenth of what reading all of it costs
        texts = [text.decode() for text in found.groups()]
        replayed = sent.endswith(b',"replayed":true}')
    else:
        body = json.loads(sent)
        texts = [str(body[name]) for name in _SORTED_BY]
        replayed = bool(body["replayed"])
    user = dict(zip(_SORTED_BY, texts))
    user["replayed"] = "true" if replayed else "false"
    return About(user=user, expiry_s=max(1, int(left_s)))


def status_body(state: str, session: str, boot_id: str, time_s: float, reason: str) -> bytes:
    """A `status` body; `state` is online, stopped or offline."""
    return to_json(
        {
            "schema": STATUS_SCHEMA,
            "state": state,
            "session": session,
            "boot_id": boot_id,
            "time": rfc3339(time_s),
            "reason": reason,
        }
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
