"""Values from outside: every mistake with its place and the fix."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from edge.config import Config
from edge.config.annotations import ConfigPath
from edge.core.record import Items, Length2, Model, Pattern
from edge.core.text import escape
from edge.core.validation import Problem, ValidationError, key_path


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


class Inner(Model):
    """A section inside another."""

    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Outer(Model):
    """One field of every kind."""

    name: Annotated[str, Field(min_length=1, max_length=4)]
    flag: bool = False
    count: Annotated[int, Field(ge=1, lt=10)] | None = None
    even: Annotated[int, AfterValidator(_even)] = 0
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    word: Literal["a", "b"] = "a"
    many: Literal["auto"] | Annotated[int, Field(ge=1, le=16)] = "auto"
    path: ConfigPath | None = None
    box: Annotated[tuple[float, float], Length2] = (0.0, 0.0)
    inner: Inner = Inner()
    inners: Annotated[Items[Inner], Field(max_length=2)] = ()
    free: dict[str, bool | int | str] = Field(default={})
    by_word: dict[Literal["a", "b"], Inner] = Field(default={})
    other: Any = None
    code: Annotated[str, Pattern("[A-Z]+", "be capital letters")] = "A"
    from_: Annotated[int, Field(alias="from")] = 1

    @model_validator(mode="after")
    def _check_given(self, info: ValidationInfo) -> Self:
        if {"flag", "other"} <= self.given(info):
            raise ValueError("flag and other exclude each other")
        return self


def problems(**values: Any) -> list[tuple[str, str]]:
    """The mistakes in these values: key and text."""
    with pytest.raises(ValidationError) as caught:
        Outer.read({"name": "n", **values})
    return [(problem.key, problem.text) for problem in caught.value.problems]


def test_values_are_read_by_the_names_they_have_outside() -> None:
    """Lists become tuples, texts become paths, and whole numbers become floats where needed."""
    read = Outer.read(
        {
            "name": "n",
            "count": 9,
            "share": 1,
            "many": 3,
            "path": "/a/b",
            "box": [1, 2.5],
            "inner": {"high": 2},
            "inners": [{"low": 0.5}, {}],
            "free": {"x": True, "y": 3, "z": "t"},
            "by_word": {"b": {"low": -1}},
            "from": 7,
        }
    )
    assert read == Outer(
        name="n",
        count=9,
        share=1.0,
        many=3,
        path=Path("/a/b"),
        box=(1.0, 2.5),
        inner=Inner(high=2.0),
        inners=(Inner(low=0.5), Inner()),
        free={"x": True, "y": 3, "z": "t"},
        by_word={"b": Inner(low=-1.0)},
        from_=7,
    )
    assert type(read.share) is float
    assert read.free["x"] is True


@pytest.mark.parametrize(
    ("values", "key", "text"),
    [
        ({"name": 5}, "name", "must be text"),
        ({"name": ""}, "name", "must have at least 1 character"),
        ({"name": "12345"}, "name", "must have at most 4 characters"),
        ({"flag": 1}, "flag", "must be true or false"),
        ({"flag": "true"}, "flag", "must be true or false, without quotes"),
        ({"count": True}, "count", "must be a whole number"),
        ({"count": 1.0}, "count", "must be a whole number"),
        ({"count": "3"}, "count", "must be a whole number, without quotes"),
        ({"count": 0}, "count", "must be greater than or equal to 1"),
        ({"count": 10}, "count", "must be less than 10"),
        ({"even": 3}, "even", "must be even"),
        ({"even": None}, "even", "must be a whole number"),
        ({"share": True}, "share", "must be a number"),
        ({"share": 0}, "share", "must be greater than 0"),
        ({"share": 1.01}, "share", "must be less than or equal to 1"),
        ({"share": math.nan}, "share", "must be a finite number"),
        ({"share": math.inf}, "share", "must be a finite number"),
        ({"share": 10**400}, "share", "must be a finite number"),
        ({"word": "c"}, "word", "must be 'a' or 'b'"),
        ({"many": "some"}, "many", "must be 'auto' or a whole number, without quotes"),
        ({"many": 17}, "many", "must be less than or equal to 16"),
        ({"path": 3}, "path", "must be text"),
        ({"box": [1]}, "box", "must be a list of 2"),
        ({"box": [1, "x"]}, "box[1]", "must be a number, without quotes"),
        ({"box": "12"}, "box", "must be a list"),
        ({"code": "a"}, "code", "must be capital letters"),
        ({"code": "A\n"}, "code", "holds a control character (U+000A); remove it"),
        (
            {"free": {"a\ud800": 1}},
            "free",
            r"the key 'a\ud800' holds a lone surrogate (U+D800); remove it",
        ),
        ({"inners": [{"low": True}]}, "inners[0].low", "must be a number"),
        (
            {"free": {"bool": {"bool": 1}}},
            "free.bool",
            "must be true or false, a whole number or text",
        ),
        ({"inner": 3}, "inner", "must hold keys and values, one a line, indented"),
        ({"inner": {"low": 2}}, "inner", "low 2.0 is above high 1.0"),
        ({"inners": [{}, {"hihg": 2}]}, "inners[1].hihg", "unknown key; did you mean 'high'?"),
        ({"inners": [{}, {}, {}]}, "inners", "must have at most 2 items"),
        ({"free": {"x": 1.5}}, "free.x", "must be true or false, a whole number or text"),
        ({"free": {3: 1}}, "free.3", "must be text"),
        ({"by_word": {"c": {}}}, "by_word.c", "must be 'a' or 'b'"),
        ({"zzzz": 1}, "zzzz", "unknown key; remove it"),
        ({"from_": 1}, "from_", "unknown key; did you mean 'from'?"),
        ({"flag": True, "other": 1}, "", "flag and other exclude each other"),
    ],
)
def test_a_mistake_has_its_place_and_what_would_do(
    values: dict[str, Any], key: str, text: str
) -> None:
    """One mistake gives one problem, at its key or list index."""
    assert problems(**values) == [(key, text)]


def test_all_mistakes_at_once() -> None:
    """One mistake hides no other. Rules between keys run after the values are valid."""
    found = problems(share=2, inner={"low": "x", "hihg": 1}, flag=True, other=1, unknown=1)
    assert sorted(key for key, _ in found) == ["inner.hihg", "inner.low", "share", "unknown"]
    with pytest.raises(ValidationError) as caught:
        Outer.read({})
    assert caught.value.problems == (Problem(("name",), "missing", "is missing; add it"),)
    assert str(caught.value) == "name: is missing; add it"


def test_figures_of_numpy_are_plain_ones() -> None:
    """NumPy values are read like the values of a file."""
    read = Outer.read({"name": np.str_("n"), "share": np.float64(0.25)})
    assert read == Outer(name="n", share=0.25)
    assert type(read.share) is float


@pytest.mark.parametrize("raw", [None, 3, "text", [], [{}]])
def test_what_holds_no_keys(raw: object) -> None:
    """Anything but keys and values is refused as a whole."""
    with pytest.raises(ValidationError, match="this: must hold keys and values"):
        Outer.read(raw)


def test_what_is_seen_is_cut() -> None:
    """A value that is shown is at most 80 characters; a missing one and a broken rule show none."""
    assert (
        len(Problem(("a",), "value", "is wrong", "x" * 1000).sentence)
        == len("is wrong (got )") + 80
    )
    assert Problem(("a",), "missing", "is missing").sentence == "is missing"


def test_key_of_a_place() -> None:
    """As a person writes it."""
    assert key_path(("cameras", 0, "view", "region", 3)) == "cameras[0].view.region[3]"
    assert key_path(()) == ""


INNERS = st.builds(
    lambda low, size: Inner(low=low, high=low + size), st.floats(-1e6, 1e6), st.floats(0, 1e6)
)
GOOD_TEXT = st.text(max_size=4).filter(lambda text: escape(text) == text)
OUTERS = st.builds(
    Outer,
    name=GOOD_TEXT.filter(bool),
    count=st.none() | st.integers(1, 9),
    share=st.floats(0, 1, exclude_min=True),
    word=st.sampled_from(["a", "b"]),
    many=st.just("auto") | st.integers(1, 16),
    path=st.none() | st.just(Path("/x/y")),
    inner=INNERS,
    inners=st.lists(INNERS, max_size=2).map(tuple),
    free=st.dictionaries(GOOD_TEXT, st.booleans() | st.integers() | GOOD_TEXT),
    by_word=st.dictionaries(st.sampled_from(["a", "b"]), INNERS),
    from_=st.integers(),
)


@pytest.mark.slow
@given(OUTERS, st.booleans())
def test_to_dict_and_read_are_inverse(value: Outer, brief: bool) -> None:
    """`read` accepts the result of `to_dict` after JSON, with and without the defaults."""
    written = value.to_dict(brief=brief)
    written.pop("flag", None)  # `flag` and `other` exclude each other, even as defaults
    assert Outer.read(json.loads(json.dumps(written))) == value


def test_what_could_not_be_read_cannot_be_constructed() -> None:
    """The constructor and `replace` check what `read` checks, so no such file is written."""
    with pytest.raises(ValueError, match="less than or equal to 1"):
        Outer(name="n", share=2.0)
    with pytest.raises(ValueError, match=r"low 3\.0 is above high 1\.0"):
        Inner().replace(low=3.0)


def test_brief_is_without_defaults() -> None:
    """`brief` omits defaults at any depth, but no required key."""
    assert Outer(name="n", inner=Inner(high=2.0)).to_dict(brief=True) == {
        "name": "n",
        "inner": {"high": 2.0},
    }
    assert Outer(name="n").to_dict()["from"] == 1


def test_defaults_are_what_would_be_read() -> None:
    """No default of config.yaml is of another type or out of its own bounds: the hash of a
    configuration that spells them out is that of one that does not."""
    least = {"station": "s", "model": {"path": "m"}, "cameras": [{"id": "a", "source": "test:"}]}
    config = Config.read(least)
    spelt = config.to_dict()
    for key in ("rate", "loop", "move_to", "credentials_file", "open_timeout_s", "controls"):
        del spelt["cameras"][0][key]  # they do nothing for this source
    for key in ("fps", "pixel_format", "tls", "transport"):
        spelt["cameras"][0].pop(key)
    spelt["cameras"][0]["trigger"] = {}
    assert Config.read(spelt).hash == config.hash
