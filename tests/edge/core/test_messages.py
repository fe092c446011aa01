"""The bodies of the contract."""

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError

from edge.core.messages import (
    result_properties,
    rfc3339,
    sent_body,
    status_body,
    stored_body,
    to_json,
)
from edge.core.verdict import ModelIdentity, RecipeIdentity, Rule, Verdict
from tests.support.schemas import SCHEMAS, validator
from tests.support.verdicts import BOOT, NOON, a_part, a_verdict, an_error

RESULT = validator("result")


def sent(verdict: Verdict, seq: int = 1, *, replayed: bool = False) -> dict[str, Any]:
    """The body on the wire, parsed."""
    body: dict[str, Any] = json.loads(sent_body(stored_body(verdict, seq), replayed=replayed))
    return body


def test_every_field_arrives() -> None:
    """The body holds the verdict's values under the contract's names and units."""
    verdict = a_verdict(
        part="P-7",
        verdict="review",
        reason="between",
        region="left",
        rule=Rule("k_of_n", 3, (0.1, 0.87654321, 0.9), 2, {"left": 0.87654321}, 0.05),
        trigger=a_part(),
        trigger_to_verdict_ms=31.23456,
        recipe=RecipeIdentity(7, "M6"),
    )
    assert sent(verdict, 42) == {
        "schema": "edge-inspect/result/1",
        "id": verdict.id,
        "seq": 42,
        "boot_id": BOOT,
        "station": "line1",
        "camera": "top",
        "part": "P-7",
        "captured_at": rfc3339(verdict.captured_at),
        "verdict": "review",
        "label": "scratch",
        "score": 0.876543,
        "probabilities": {"ok": 0.123457, "scratch": 0.876543},
        "thresholds": {"reject_at": 0.6, "review_from": 0.4},
        "model": {"name": "cells", "version": "3", "sha256": "ab" * 32},
        "config": "0123456789ab",
        "frame": {"width": 640, "height": 480, "seq": 7},
        "latency_ms": {"capture_to_verdict": 12.346, "inference": 0.988},
        "reason": "between",
        "region": "left",
        "rule": {
            "name": "k_of_n",
            "frames": 3,
            "k": 2,
            "scores": [0.1, 0.876543, 0.9],
            "regions": {"left": 0.876543},
            "hysteresis": 0.05,
        },
        "trigger": {
            "kind": "request",
            "number": 4,
            "transaction": "t-9",
            "at": rfc3339(NOON),
            "to_verdict_ms": 31.235,
        },
        "recipe": {"number": 7, "name": "M6"},
        "replayed": False,
    }


@pytest.mark.parametrize(
    "verdict",
    [
        a_verdict(),
        a_verdict(verdict="pass", label="ok", score=0.0, part="a/b.png"),
        a_verdict(verdict="review", reason="between"),
        a_verdict(boot_id="unknown", station="라인 1", label="스크래치"),
        an_error(),
        an_error(
            frame_seq=0, trigger=a_part(name=None, transaction=None), trigger_to_verdict_ms=500.0
        ),
    ],
)
@pytest.mark.parametrize("replayed", [True, False])
def test_bodies_obey_their_schema(verdict: Verdict, replayed: bool) -> None:
    """Each kind of verdict is valid against docs/schema/result.schema.json."""
    RESULT.validate(sent(verdict, replayed=replayed))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "2f6c1a9e-7d54-4c1b-9a43-0c8f6d2b1e77"},
        {"captured_at": "2026-11-22T10:00:00Z"},
        {"captured_at": "2026-11-22T10:00:00.000+01:00"},
        {"verdict": "maybe"},
        {"verdict": "error"},
        {"score": 1.01},
        {"score": None},
        {"seq": -1},
        {"seq": "1"},
        {"config": "xyz"},
        {"surplus": 1},
        {"reason": "a fail needs none"},
    ],
)
def test_the_schema_is_strict(change: dict[str, Any]) -> None:
    """A body that breaks the contract in one field is refused by the schema."""
    with pytest.raises(ValidationError):
        RESULT.validate({**sent(a_verdict()), **change})


@pytest.mark.parametrize("field", sorted(set(sent(a_verdict())) - {"recipe"}))
def test_no_field_may_be_missing(field: str) -> None:
    """Every field of a result is required, but those that stored rows of an older version lack."""
    body = sent(a_verdict())
    del body[field]
    with pytest.raises(ValidationError):
        RESULT.validate(body)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_nan_leaves(bad: float) -> None:
    """NaN and infinity are no JSON, so they are refused before anything is stored."""
    with pytest.raises(ValueError, match="JSON"):
        stored_body(a_verdict(score=bad), 1)
    with pytest.raises(ValueError, match="JSON"):
        to_json({"temperature": bad})


TEXT = st.text(max_size=20)
SCORE = st.floats(0, 1)


@pytest.mark.slow
@given(
    texts=st.lists(TEXT, min_size=5, max_size=5),
    part=st.none() | TEXT,
    score=st.none() | SCORE,
    probabilities=st.dictionaries(TEXT, SCORE, max_size=3),
    ms=st.none() | st.floats(0, 1e6),
    rule=st.none() | st.tuples(SCORE, st.dictionaries(TEXT, SCORE, max_size=2)),
    named=st.booleans(),
    triggered=st.booleans(),
)
def test_a_body_is_compact_json_with_its_values(
    *,
    texts: list[str],
    part: str | None,
    score: float | None,
    probabilities: dict[str, float],
    ms: float | None,
    rule: tuple[float, dict[str, float]] | None,
    named: bool,
    triggered: bool,
) -> None:
    """For any verdict the body reads back, and its bytes are those of `to_json`."""
    station, camera, label, reason, name = texts
    verdict = a_verdict(
        station=station,
        camera=camera,
        label=label,
        reason=reason,
        part=part,
        region=part,
        score=score,
        probabilities=probabilities,
        inference_ms=ms,
        model=ModelIdentity(name, name, "ab") if named else None,
        rule=Rule() if rule is None else Rule("mean", 2, (rule[0],), None, rule[1], rule[0]),
        trigger=a_part(transaction=part) if triggered else None,
        trigger_to_verdict_ms=ms,
    )
    stored = stored_body(verdict, 3)
    body = json.loads(stored)
    assert to_json(body) == stored
    assert [body[key] for key in ("station", "camera", "label", "reason")] == texts[:4]
    assert body["probabilities"] == {k: round(v, 6) for k, v in probabilities.items()}
    assert body["rule"]["regions"] == ({} if rule is None else pytest.approx(rule[1], abs=1e-6))


def test_a_body_has_the_bytes_of_the_version_before() -> None:
    """Key order, spelling of numbers and text are those of stored rows: either version may send
    what the other has stored."""
    verdict = a_verdict(
        id="0199a1b2-c3d4-7000-8000-000000000001",
        part="P-7",
        verdict="review",
        label="긁힘",
        reason="between",
        region="left",
        rule=Rule("k_of_n", 3, (0.1, 0.87654321, 0.9), 2, {"left": 0.87654321}, 0.05),
        trigger=a_part(),
        trigger_to_verdict_ms=31.23456,
        recipe=RecipeIdentity(7, "M6"),
    )
    assert stored_body(verdict, 42).decode() == (
        '{"schema":"edge-inspect/result/1","id":"0199a1b2-c3d4-7000-8000-000000000001","seq":42,'
        '"boot_id":"2f6c1a9e-7d54-4c1b-9a43-0c8f6d2b1e77","station":"line1","camera":"top",'
        '"part":"P-7","captured_at":"2026-09-21T14:13:20.123Z","verdict":"review",'
        '"label":"긁힘","score":0.876543,"probabilities":{"ok":0.123457,"scratch":0.876543},'
        '"thresholds":{"reject_at":0.6,"review_from":0.4},"model":{"name":"cells","version":"3",'
        f'"sha256":"{"ab" * 32}"}},"config":"0123456789ab","frame":{{"width":640,"height":480,'
        '"seq":7},"latency_ms":{"capture_to_verdict":12.346,"inference":0.988},'
        '"reason":"between","region":"left","rule":{"name":"k_of_n","frames":3,"k":2,'
        '"scores":[0.1,0.876543,0.9],"regions":{"left":0.876543},"hysteresis":0.05},'
        '"trigger":{"kind":"request","number":4,"transaction":"t-9",'
        '"at":"2026-09-21T14:13:20.000Z","to_verdict_ms":31.235},'
        '"recipe":{"number":7,"name":"M6"}}'
    )


@given(st.text(max_size=40), st.booleans())
def test_replayed_is_the_last_member(reason: str, replayed: bool) -> None:
    """Live and replayed copies of a verdict differ in their last member only, whatever it holds."""
    stored = stored_body(a_verdict(reason=reason), 5)
    pairs = json.loads(sent_body(stored, replayed=replayed), object_pairs_hook=list)
    assert pairs[-1] == ("replayed", replayed)
    assert dict(pairs[:-1])["reason"] == reason
    assert sent_body(stored, replayed=replayed).startswith(stored[:-1])


@given(st.floats(0, 4e9))
def test_times_are_utc_with_milliseconds(epoch: float) -> None:
    """A time reads back to within its millisecond."""
    text = rfc3339(epoch)
    assert len(text) == len("2026-11-22T10:00:00.000Z")
    assert text.endswith("Z")
    read = datetime.fromisoformat(text).astimezone(UTC).timestamp()
    assert -0.001 < read - epoch <= 1e-6


@pytest.mark.parametrize("state", ["online", "stopped", "offline"])
def test_status_obeys_its_schema(state: str) -> None:
    """Each `status` is valid against docs/schema/status.schema.json and says its session."""
    body = json.loads(status_body(state, "a" * 32, BOOT, NOON, "why"))
    validator("status").validate(body)
    assert (body["state"], body["session"], body["reason"]) == (state, "a" * 32, "why")


def test_text_is_utf8_and_compact() -> None:
    """Names are not escaped, and there are no blanks."""
    stored = stored_body(a_verdict(label="긁힘", probabilities={"ok": 0.1, "긁힘": 0.9}), 1)
    assert '"label":"긁힘"' in stored.decode()
    assert b'": ' not in stored


@pytest.mark.slow
def test_config_schema_is_up_to_date() -> None:
    """docs/schema/config.schema.json is what `edge-inspect config schema` prints."""
    printed = subprocess.run(
        [sys.executable, "-m", "edge", "config", "schema"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    stored = (SCHEMAS / "config.schema.json").read_text(encoding="utf-8")
    assert json.loads(stored) == json.loads(printed), (
        "run: edge-inspect config schema > docs/schema/config.schema.json"
    )


@given(
    station=st.text(max_size=8),
    camera=st.text(max_size=8),
    part=st.none() | st.text(max_size=8) | st.just('","captured_at":"'),
    replayed=st.booleans(),
)
def test_the_properties_of_a_result_are_its_body_s(
    station: str, camera: str, part: str | None, replayed: bool
) -> None:
    """Whatever stands in station, camera and part: what MQTT 5 says beside the body is what a JSON
    parser reads in it."""
    verdict = a_verdict(station=station, camera=camera, part=part)
    body = sent_body(stored_body(verdict, 7), replayed=replayed)
    parsed = json.loads(body)
    wanted = {name: parsed[name] for name in ("schema", "station", "camera", "verdict")}
    assert dict(result_properties(body, 9.0).user) == wanted | {"replayed": str(replayed).lower()}


def test_a_damaged_body_goes_without_properties() -> None:
    """A row that is no JSON does not raise, so that the rows behind it are sent."""
    for body in (b'{"schema":"edge', b"[]", b"{}"):
        about = result_properties(body, 9.0)
        assert (about.user, about.expiry_s) == ((), 9)


def test_a_body_of_another_order_is_read_too() -> None:
    """A row that another version has stored, with its members elsewhere, is read as JSON."""
    body = json.loads(sent_body(stored_body(a_verdict(), 7), replayed=True))
    turned = json.dumps(dict(reversed(body.items()))).encode()
    assert dict(result_properties(turned, 9.0).user)["camera"] == body["camera"]
    assert dict(result_properties(turned, 9.0).user)["replayed"] == "true"
