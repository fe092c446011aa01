"""A packed body is restored byte for byte, and takes few bytes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.ids import uuid7
from edge.core.messages import stored_body, to_json
from edge.core.verdict import Rule, Verdict
from edge.storage.history.packing import WHOLE, PackedBody, Packer, keep_whole, layout_of, restore
from tests.edge.storage.history.bodies import a_body
from tests.support.verdicts import NOON, a_part, a_verdict, an_error

_SCORES = st.floats(0, 1)
_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_ODD_NAMES = st.sampled_from(
    ['"seq":5,', "id", "at", "score", ',0.5,"', "\\", '"}', "\x01", "é😀", "0.5", "part", "[0.5]"]
)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Any verdict, with awkward names and numbers."""
    names = _NAMES | _ODD_NAMES
    at = draw(st.floats(0, 4e9))
    labels = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    scores = draw(st.lists(_SCORES, max_size=4))
    verdict = a_verdict(
        id=uuid7(draw(st.integers(0, 2**48 - 1))),
        station=draw(names),
        camera=draw(names),
        part=draw(st.none() | names),
        captured_at=at,
        verdict=draw(st.sampled_from(["pass", "fail", "review", "error"])),
        label=draw(st.none() | names),
        score=draw(st.none() | _SCORES),
        probabilities={label: draw(_SCORES) for label in labels},
        reject_at=draw(st.none() | _SCORES),
        frame_seq=draw(st.integers(0, 2**40)),
        capture_to_verdict_ms=draw(st.floats(0, 1e9)),
        inference_ms=draw(st.none() | st.floats(0, 1e4)),
        reason=draw(st.none() | names),
        region=draw(st.none() | names),
        rule=Rule(
            scores=tuple(scores),
            regions=draw(st.dictionaries(names, _SCORES, max_size=3)),
            hysteresis=draw(_SCORES),
        ),
    )
    if draw(st.booleans()):
        trigger = a_part(at=draw(st.floats(0, 4e9)), transaction=draw(st.none() | names))
        verdict = replace(verdict, trigger=trigger, trigger_to_verdict_ms=draw(st.floats(0, 1e6)))
    return verdict


def packed_twice(body: bytes) -> list[PackedBody]:
    """By a new template, and by the one that is known then."""
    packer = Packer()
    return [packer.pack(body), packer.pack(body)]


@pytest.mark.slow
@given(verdict=verdicts(), number=st.integers(1, 2**60))
def test_restores_every_verdict(verdict: Verdict, number: int) -> None:
    """Whatever its names and numbers, a body is restored byte for byte."""
    body = stored_body(verdict, number)
    for packed in packed_twice(body):
        assert restore(packed) == body
        assert packed.seq == number


@pytest.mark.slow
@given(first=verdicts(), second=verdicts())
def test_a_known_template_fits_only_its_bodies(first: Verdict, second: Verdict) -> None:
    """A body is restored exactly, whatever was packed before."""
    packer = Packer()
    for verdict in (first, second, first):
        body = stored_body(verdict, 7)
        assert restore(packer.pack(body)) == body


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=8), st.none() | st.floats(0, 1) | st.text(), max_size=5))
def test_restores_fields_of_later_versions(more: dict[str, Any]) -> None:
    """A body with members that this version does not know is restored byte for byte."""
    body = to_json({**more, **json.loads(a_body(3)), "recipe": {"number": 4, "name": "M6"}})
    for packed in packed_twice(body):
        assert restore(packed) == body


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (a_body(5), 48),
        (a_body(5, part="P-7", trigger=a_part(), trigger_to_verdict_ms=8.2), 64),
        (stored_body(an_error(), 5), 64),
    ],
    ids=["plain", "part", "error"],
)
def test_is_small(body: bytes, most: int) -> None:
    """A verdict takes a few dozen bytes beside its template."""
    packed = Packer().pack(body)
    assert packed.template != WHOLE
    assert len(packed.numbers) + len(packed.part or "") + len(packed.texts or "") <= most


def test_verdicts_that_differ_in_values_share_a_template() -> None:
    """Scores, times, numbers, parts and reasons are no reason for a new template."""
    packer = Packer()
    first: dict[str, Any] = {
        "verdict": "review",
        "reason": "score 0.41 lies between",
        "part": "P-1",
    }
    second: dict[str, Any] = {
        "verdict": "review",
        "reason": "score 0.59 lies between",
        "part": "P-2",
    }
    packed = [
        packer.pack(a_body(1, score=0.41, **first)),
        packer.pack(a_body(2, score=0.59, inference_ms=3.25, **second)),
    ]
    assert len({one.template for one in packed}) == 1


def test_measures_stand_where_the_layout_says() -> None:
    """Score and latency are read without restoring the body."""
    packed = Packer().pack(a_body(5, score=0.25, capture_to_verdict_ms=17.5))
    layout = layout_of(packed.template)
    assert (layout.score(packed.numbers), layout.latency_us(packed.numbers)) == (250_000, 17_500)
    assert layout_of(Packer().pack(stored_body(an_error(), 1)).template).score(b"") is None


def test_keeps_whole_what_it_cannot_restore() -> None:
    """An id of another form keeps its body whole."""
    body = to_json({**json.loads(a_body(5)), "id": "4711"})
    packed = Packer().pack(body)
    assert packed.template == WHOLE
    assert restore(packed) == body


def test_knows_when_an_id_was_made() -> None:
    """The time of the id is kept, also for a body that is kept whole."""
    body = a_body(5, at=NOON)
    for packed in (Packer().pack(body), keep_whole(body)):
        assert packed.made_ms == round(NOON * 1000) + 30


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"seq":1}', b'{"id":"a","seq":"x"}'])
def test_refuses_what_is_no_verdict(body: bytes) -> None:
    """A body without id, number and time cannot be remembered."""
    with pytest.raises(ValueError, match=r"."):
        Packer().pack(body)


@pytest.mark.slow
@given(place=st.integers(0, 60), change=st.integers(1, 255))
def test_notices_a_flipped_byte(place: int, change: int) -> None:
    """A changed byte never gives another verdict: it gives the same, or an error."""
    body = a_body(5)
    packed = Packer().pack(body)
    numbers = bytearray(packed.numbers)
    numbers[place % len(numbers)] ^= change
    with pytest.raises(ValueError, match=r"."):
        restore(replace(packed, numbers=bytes(numbers)))
