"""Verdict ⇄ JSON: the bodies of the contract, schema `edge-inspect/result/1` and `…/status/1`."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any

from edge.delivery.events import About
from edge.verdict import ModelIdentity, Rule, Verdict

RESULT_SCHEMA = "edge-inspect/result/1"
STATUS_SCHEMA = "edge-inspect/status/1"

# one for all: `json.dumps` with options makes a new one each time
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
)

_SORTED_BY = ("schema", "station", "camera", "verdict")
# The head of a body as `stored_body` orders it, without escapes where they matter.
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
    seconds, micros = divmod(round(epoch_s * 1e6), 1_000_000)
    return f"{_second(seconds)}.{micros // 1000:03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def to_json(body: dict[str, Any]) -> bytes:
    """Compact UTF-8 JSON. Raises ValueError for NaN and infinity, which no PLC gateway reads."""
    return _ENCODER.encode(body).encode("utf-8", "backslashreplace")


def stored_body(verdict: Verdict, seq: int) -> bytes:
    """What the outbox keeps of a verdict: a `result` body without `replayed`, which is known only
    when it is sent. As `to_json` would write it; put together here as text, what never changes from
    verdict to verdict once, since this is done for every frame. Raises ValueError for NaN and
    infinity."""
    judged_by = _judged_by(verdict.reject_at, verdict.review_from, verdict.model, verdict.config)
    text = (
        f'{{"schema":"{RESULT_SCHEMA}","id":{_quoted(verdict.id)},"seq":{seq}'
        f',"boot_id":{_quoted(verdict.boot_id)},"station":{_quoted(verdict.station)}'
        f',"camera":{_quoted(verdict.camera)},"part":{_text(verdict.part)}'
        f',"captured_at":"{rfc3339(verdict.captured_at)}","verdict":"{verdict.verdict}"'
        f',"label":{_text(verdict.label)},"score":{_number(verdict.score, 6)}'
        f',"probabilities":{_numbers(verdict.probabilities)},{judged_by}'
        f',"frame":{{"width":{verdict.frame_width},"height":{verdict.frame_height}'
        f',"seq":{verdict.frame_seq}}}'
        f',"latency_ms":{{"capture_to_verdict":{_number(verdict.capture_to_verdict_ms, 3)}'
        f',"inference":{_number(verdict.inference_ms, 3)}}}'
        f',"reason":{_text(verdict.reason)},"region":{_text(verdict.region)}'
        f',"rule":{_rule(verdict.rule)},"trigger":{_trigger(verdict)}}}'
    )
    return text.encode("utf-8", "backslashreplace")


@lru_cache(maxsize=16)
def _judged_by(
    reject_at: float, review_from: float, model: ModelIdentity | None, config: str
) -> str:
    identity = "null"
    if model is not None:
        identity = (
            f'{{"name":{_quoted(model.name)},"version":{_quoted(model.version)}'
            f',"sha256":{_quoted(model.sha256)}}}'
        )
    return (
        f'"thresholds":{{"reject_at":{_number(reject_at)},"review_from":{_number(review_from)}}}'
        f',"model":{identity},"config":{_quoted(config)}'
    )


def _rule(rule: Rule) -> str:
    scores = ",".join([_number(score, 6) for score in rule.scores])
    return (
        f'{{"name":"{rule.name}","frames":{rule.frames},"k":{"null" if rule.k is None else rule.k}'
        f',"scores":[{scores}],"regions":{_numbers(rule.regions)}'
        f',"hysteresis":{_number(rule.hysteresis)}}}'
    )


def _trigger(verdict: Verdict) -> str:
    part = verdict.trigger
    if part is None:
        return "null"
    return (
        f'{{"kind":"{part.kind}","number":{part.number},"transaction":{_text(part.transaction)}'
        f',"at":"{rfc3339(part.at)}"'
        f',"to_verdict_ms":{_number(verdict.trigger_to_verdict_ms, 3)}}}'
    )


def _text(value: str | None) -> str:
    return "null" if value is None else _quoted(value)


def _numbers(values: Mapping[str, float]) -> str:
    return "{" + ",".join([f"{_quoted(k)}:{_number(v, 6)}" for k, v in values.items()]) + "}"


def _number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return "null"
    number = float(value) if digits is None else round(float(value), digits)
    if not math.isfinite(number):
        raise ValueError(f"{number} has no place in JSON")
    return repr(number)


def sent_body(stored: bytes, *, replayed: bool) -> bytes:
    """What goes on the wire: the stored body with `replayed` as its last member."""
    return stored[:-1] + (b',"replayed":true}' if replayed else b',"replayed":false}')


def about_result(sent: bytes, left_s: float) -> About:
    """MQTT 5's properties of a result: what a broker's rule may sort by, copied from the body, and
    the seconds until the outbox itself would drop it."""
    found = _HEAD.match(sent)
    if found is not None:  # a tenth of what reading all of it costs
        user = _sorted_by(found.groups(), sent.endswith(b',"replayed":true}'))
    else:
        body = json.loads(sent)
        texts = tuple(str(body[name]).encode() for name in _SORTED_BY)
        user = _sorted_by(texts, bool(body["replayed"]))
    return About(user=user, expiry_s=max(1, int(left_s)))


# of results: a few cameras, four verdicts, sent late or not
@lru_cache(maxsize=256)
def _sorted_by(texts: tuple[bytes, ...], replayed: bool) -> tuple[tuple[str, str], ...]:
    pairs = [(name, text.decode()) for name, text in zip(_SORTED_BY, texts)]
    return (*pairs, ("replayed", "true" if replayed else "false"))


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
