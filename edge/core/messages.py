"""Verdicts and station states as JSON: `edge-inspect/result/1` and `edge-inspect/status/1`."""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.core.text import escape
from edge.core.verdict import Verdict

RESULT_SCHEMA = "edge-inspect/result/1"
STATUS_SCHEMA = "edge-inspect/status/1"

_SURROGATE = re.compile("[\ud800-\udfff]")

# Copied from the body into MQTT 5's user properties, so that a broker's rules can route by them.
_ROUTING_KEYS = ("schema", "station", "camera", "verdict")


@dataclass(frozen=True, slots=True)
class MessageProperties:
    """MQTT 5's properties of a message. MQTT 3.1.1 has none: the body holds all that matters.

    `user` holds names and values. After `expiry_s` seconds the broker may drop the message.
    """

    content_type: str = "application/json"
    user: tuple[tuple[str, str], ...] = ()
    expiry_s: int | None = None
    correlation: bytes | None = None


def rfc3339(epoch_s: float) -> str:
    """Seconds since the epoch as RFC 3339 text in UTC with milliseconds."""
    text = datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def to_json(body: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON. Raises ValueError for NaN and infinity, which PLC gateways reject.

    Many readers refuse a whole message for a lone surrogate, so it is written as visible text.
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: escape(found[0]).replace("\\", r"\\"), text).encode()


def stored_body(verdict: Verdict, seq: int) -> bytes:
    """The verdict as the outbox stores it: a `result` body without `replayed`, which is known
    when it is sent. Raises ValueError for NaN and infinity."""
    return to_json(
        {
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
            "probabilities": _scores(verdict.probabilities),
            "thresholds": {
                "reject_at": _float(verdict.reject_at),
                "review_from": _float(verdict.review_from),
            },
            "model": _model(verdict),
            "config": verdict.config,
            "frame": {
                "width": verdict.frame_width,
                "height": verdict.frame_height,
                "seq": verdict.frame_seq,
            },
            "latency_ms": {
                "capture_to_verdict": _rounded(verdict.capture_to_verdict_ms, 3),
                "inference": _rounded(verdict.inference_ms, 3),
            },
            "reason": verdict.reason,
            "region": verdict.region,
            "rule": _rule(verdict),
            "trigger": _trigger(verdict),
            "recipe": _recipe(verdict),
        }
    )


def _model(verdict: Verdict) -> dict[str, str] | None:
    model = verdict.model
    if model is None:
        return None
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def _recipe(verdict: Verdict) -> dict[str, Any] | None:
    recipe = verdict.recipe
    return None if recipe is None else {"number": recipe.number, "name": recipe.name}


def _rule(verdict: Verdict) -> dict[str, Any]:
    rule = verdict.rule
    return {
        "name": rule.name,
        "frames": rule.frames,
        "k": rule.k,
        "scores": [_rounded(score, 6) for score in rule.scores],
        "regions": _scores(rule.regions),
        "hysteresis": float(rule.hysteresis),
    }


def _trigger(verdict: Verdict) -> dict[str, Any] | None:
    part = verdict.trigger
    if part is None:
        return None
    return {
        "kind": part.kind,
        "number": part.number,
        "transaction": part.transaction,
        "at": rfc3339(part.at),
        "to_verdict_ms": _rounded(verdict.trigger_to_verdict_ms, 3),
    }


def _scores(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _rounded(value, 6) for name, value in values.items()}


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def sent_body(stored: bytes, *, replayed: bool) -> bytes:
    """The `result` body on the wire: the stored bytes, and `replayed` as the last member. The
    stored bytes stay as they are, whichever version stored them."""
    return stored[:-1] + (b',"replayed":true}' if replayed else b',"replayed":false}')


def result_properties(sent: bytes, remaining_s: float) -> MessageProperties:
    """MQTT 5's properties of a result. The outbox itself drops it after `remaining_s` seconds."""
    user: tuple[tuple[str, str], ...] = ()
    # a damaged row must not block the rows behind it
    with contextlib.suppress(ValueError, TypeError, KeyError):
        body = json.loads(sent)
        replayed = "true" if body["replayed"] else "false"
        user = (*((name, str(body[name])) for name in _ROUTING_KEYS), ("replayed", replayed))
    return MessageProperties(user=user, expiry_s=max(1, int(remaining_s)))


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
