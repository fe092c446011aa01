"""Text from outside: what is refused, and what is shown."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.loader import parse_config
from edge.core.messages import to_json
from edge.core.text import decode_text, escape, fault_in, faults_of, one_line, parse_json
from edge.plant.trigger_requests import TriggerRequest

ANY_TEXT = st.text(st.characters(codec=None), max_size=30)


@given(ANY_TEXT)
def test_one_line_is_one_line_of_printable_text(text: str) -> None:
    """Whatever the text: one line in UTF-8 without control, bidi and unassigned end characters."""
    shown = one_line(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "PDF") for c in shown)


@given(ANY_TEXT)
def test_escaped_text_is_never_refused(text: str) -> None:
    """`escape` leaves good text alone, and its result is good text."""
    assert fault_in(escape(text)) is None
    assert (escape(text) == text) == (fault_in(text) is None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ud800", "a lone surrogate (U+D800)"),
        ("a\udfff", "a lone surrogate (U+DFFF)"),
        ("\x00", "a control character (U+0000)"),
        ("a\n", "a control character (U+000A)"),
        ("\x7f", "a control character (U+007F)"),
        ("\x9b", "a control character (U+009B)"),
        ("\u2028", "a line separator (U+2028)"),
        ("\ufdd0", "a non-character (U+FDD0)"),
        ("\uffff", "a non-character (U+FFFF)"),
        ("\U0010fffe", "a non-character (U+10FFFE)"),
    ],
)
def test_refused_characters(text: str, words: str) -> None:
    """Each kind has its sentence."""
    assert fault_in(text) == f"holds {words}; remove it"


@pytest.mark.parametrize("text", ["", "라인 1", "naïve", "שלום", "👩‍🏭", "a\u200fb", "\ue000", "~"])
def test_names_of_the_world_are_good(text: str) -> None:
    """Letters of any language, emoji with joiners, direction marks and private characters."""
    assert fault_in(text) is None


@pytest.mark.slow
def test_nested_values_are_searched() -> None:
    """Keys and values at any depth, without recursion."""
    assert list(faults_of({"a": [{"b": "\x00"}], "\ud800": 1})) == [
        ((), "the key '\\ud800' holds a lone surrogate (U+D800); remove it"),
        (("a", 0, "b"), "holds a control character (U+0000); remove it"),
    ]
    deep: object = "x"
    for _ in range(50_000):
        deep = [deep]
    assert list(faults_of(deep)) == []


@given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3))
def test_no_lone_surrogate_reaches_json(values: dict[str, str]) -> None:
    """The bytes are UTF-8, and every strict reader takes them."""
    body = to_json(values)
    assert re.search(rb"\\u[dD][89a-fA-F]", body) is None or b"\\\\u" in body
    for key, value in json.loads(body.decode()).items():
        (key + value).encode()


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[-Infinity]", b"\xff"])
def test_json_that_programs_read_differently(body: bytes) -> None:
    """Two equal keys, NaN, infinity, bytes that are not UTF-8."""
    with pytest.raises(ValueError, match=r"stands twice|no JSON|codec"):
        parse_json(body)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(b"[" * 100_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding: str) -> None:
    """Text files of Windows are read as they were written."""
    assert decode_text("pässword".encode(encoding)) == "pässword"
    assert decode_text("\ufeffa".encode("utf-16-be")) == "a"


def test_names_match_in_both_unicode_forms(tmp_path: Path) -> None:
    """Hangul that macOS wrote and Hangul that a person types are the same name."""
    typed_form, stored = "검사1", unicodedata.normalize("NFD", "검사1")
    assert typed_form != stored
    text = f"station: {stored}\nmodel: {{path: m.tflite, labels: [{stored}, 불량]}}\n"
    text += f"cameras: [{{id: {stored}, source: 'test:'}}]\nmqtt: {{prefix: {stored}}}\n"
    config = parse_config(text, "config.yaml", tmp_path)
    found = (
        config.station,
        config.cameras[0].id,
        config.mqtt.prefix,
        (config.model.labels or ())[0],
    )
    assert found == (typed_form,) * 4
    request = TriggerRequest.read({"camera": stored, "part": stored})
    assert request.camera == typed_form
    assert request.part == stored, "the plant's own text is given back as it came"
