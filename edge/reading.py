"""Values that come from outside (config.yaml, inspection.json, a request) as Structs: every mistake
at once, each with its place, what is wrong and the mend.

What a value must be is said by the annotations of its Struct: `bool`, `int`, `float`, `str`,
`Path`, `Any`, `Literal`, unions, `tuple`, `dict` and other Structs, and `Annotated` with msgspec's
`Meta` (bounds, lengths, pattern) or with functions that raise ValueError for a value that will not
do. Types are strict: "1883" is no number, 1 is not true.
"""

import math
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

T = TypeVar("T", bound=Struct)
Loc = tuple[str | int, ...]
# missing, unknown: a key; type: another sort of value; value: out of bounds; rule: values that do
# not go together.
ProblemKind = Literal["missing", "unknown", "type", "value", "rule"]

_PLAIN = {
    bool: "must be true or false",
    int: "must be a whole number",
    float: "must be a number",
    str: "must be text",
    Path: "must be text",
}
_KEYS = "must hold keys and values, one a line, indented"


class Problem(Struct, frozen=True):
    """One mistake. `loc` leads to it, through keys and places in lists; `got` is what stands
    there, None for what is missing."""

    loc: Loc
    kind: ProblemKind
    text: str
    got: Any = None

    @property
    def key(self) -> str:
        """Where it is, as in `cameras[0].source`; empty for the whole."""
        return key_of(self.loc)

    @property
    def seen(self) -> str:
        """What stands there, cut to 80 characters, to be put behind the text; nothing where there
        is nothing to be shown."""
        return "" if self.kind in ("missing", "rule") else f" (got {self.got!r:.80})"


class UnfitError(ValueError):
    """What was read is not what it must be. `problems`: at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.key or 'this'}: {p.text}" for p in problems))
        self.problems = tuple(problems)


def key_of(loc: Loc) -> str:
    """A place in words: keys with dots between, places in lists in brackets."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(kind: type[T], raw: Any) -> T:
    """A Struct from dictionaries, lists and plain values, as JSON and YAML give them.

    A Struct may have `as_meant(raw)`, a class method that is asked first what a dictionary means,
    and `check_given(names)`, called last with the names of the fields that were there; that one and
    `__post_init__` may raise ValueError. Raises UnfitError.
    """
    reader = _Reader()
    value = reader.struct(kind, raw, ())
    if reader.problems or not isinstance(value, kind):
        raise UnfitError(reader.problems)
    return value


@cache
def fields_of(kind: type[Struct]) -> dict[str, FieldInfo]:
    """The fields of a Struct, by the names that they have outside."""
    return {field.encode_name: field for field in fields(kind)}


class _Reader:
    """Goes down through a value and what it must be. What it gives back means nothing once there
    are problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def struct(self, kind: type[Struct], raw: Any, loc: Loc) -> Any:
        if not isinstance(raw, dict):
            return self._add(loc, "type", _KEYS, raw)
        if (as_meant := getattr(kind, "as_meant", None)) is not None:
            raw = as_meant(raw)
        known, before = fields_of(kind), len(self.problems)
        for key in raw:
            if key not in known:
                self._add((*loc, str(key)), "unknown", _unknown(str(key), known), raw[key])
        values = {}
        for key, field in known.items():
            if key in raw:
                values[field.name] = self.value(field.type, raw[key], (*loc, key))
            elif field.required:
                self._add((*loc, key), "missing", "is missing; add it")
        if len(self.problems) > before:
            return None
        try:
            value = kind(**values)
            if (check := getattr(value, "check_given", None)) is not None:
                check(frozenset(values))
        except ValueError as error:
            return self._add(loc, "rule", str(error), raw)
        return value

    def value(self, wanted: Any, raw: object, loc: Loc) -> Any:
        marks: tuple[Any, ...] = ()
        if get_origin(wanted) is Annotated:
            wanted, marks = wanted.__origin__, wanted.__metadata__
        before = len(self.problems)
        value = self._unmarked(wanted, raw, loc)
        if len(self.problems) == before:
            wrong = next(filter(None, (_against(mark, value) for mark in marks)), None)
            if wrong is not None:
                return self._add(loc, "value", wrong, raw)
        return value

    def _unmarked(self, wanted: Any, raw: object, loc: Loc) -> Any:
        origin, inner = get_origin(wanted), get_args(wanted)
        if origin is Union or origin is UnionType:
            return self._one_of(inner, raw, loc)
        if origin is Literal:
            if any(raw == one and type(raw) is type(one) for one in inner):
                return raw
            return self._add(loc, "type", f"must be {_listed([repr(one) for one in inner])}", raw)
        if origin is tuple:
            return self._tuple(inner, raw, loc)
        if origin is dict:
            return self._dict(inner, raw, loc)
        if wanted is Any:
            return raw
        if issubclass(wanted, Struct):
            return self.struct(wanted, raw, loc)
        return self._plain(wanted, raw, loc)

    def _one_of(self, kinds: Sequence[Any], raw: object, loc: Loc) -> Any:
        if raw is None and NoneType in kinds:
            return None
        tried = []
        for kind in kinds:
            if kind is NoneType:
                continue
            reader = _Reader()
            value = reader.value(kind, raw, loc)
            if not reader.problems:
                return value
            tried.append(reader.problems)
        near = [found for found in tried if (found[0].loc, found[0].kind) != (loc, "type")]
        if near or len(tried) == 1:
            self.problems += (near or tried)[0]
            return None
        texts = [found[0].text.removeprefix("must be ") for found in tried]
        return self._add(loc, "type", f"must be {_listed(texts)}", raw)

    def _tuple(self, kinds: tuple[Any, ...], raw: object, loc: Loc) -> Any:
        if not isinstance(raw, (list, tuple)):
            return self._add(loc, "type", "must be a list", raw)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(raw)
        elif len(kinds) != len(raw):
            return self._add(loc, "value", f"must be a list of {len(kinds)}", raw)
        return tuple(
            self.value(kind, item, (*loc, at)) for at, (kind, item) in enumerate(zip(kinds, raw))
        )

    def _dict(self, kinds: Sequence[Any], raw: object, loc: Loc) -> Any:
        if not isinstance(raw, dict):
            return self._add(loc, "type", _KEYS, raw)
        return {
            self.value(kinds[0], key, (*loc, str(key))): self.value(
                kinds[1], item, (*loc, str(key))
            )
            for key, item in raw.items()
        }

    def _plain(self, wanted: Any, raw: object, loc: Loc) -> Any:
        if wanted is Path and isinstance(raw, str):
            return Path(raw)
        # NumPy's float64 and str_, out of our own figures, are such too
        if wanted is float and isinstance(raw, (int, float)) and not isinstance(raw, bool):
            return self._float(raw, loc)
        if type(raw) is wanted or (wanted is str and isinstance(raw, str)):
            return raw
        text = _PLAIN[wanted]
        if isinstance(raw, str) and wanted in (bool, int, float):
            text += ", without quotes"
        return self._add(loc, "type", text, raw)

    def _float(self, raw: Any, loc: Loc) -> Any:
        try:
            value = float(raw)
        except OverflowError:  # a whole number of more than 308 digits
            value = math.inf
        if math.isfinite(value):
            return value
        return self._add(loc, "value", "must be a finite number", raw)

    def _add(self, loc: Loc, kind: ProblemKind, text: str, got: object = None) -> None:
        self.problems.append(Problem(loc, kind, text, got))


def _unknown(key: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # only who made a mistake waits for it

    close = get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "remove it"
    return f"unknown key; {hint}"


def _against(mark: Any, value: Any) -> str | None:
    """What a value has against a bound or a check; None when nothing."""
    if callable(mark):
        try:
            mark(value)
        except ValueError as error:
            return str(error)
        return None
    if not isinstance(mark, Meta):
        return None
    if mark.pattern is not None and re.search(mark.pattern, value) is None:
        must: str = (mark.extra or {}).get("must", f"match {mark.pattern}")
        return f"must {must}"
    if mark.min_length is not None and len(value) < mark.min_length:
        return f"must have at least {_counted(mark.min_length, value)}"
    if mark.max_length is not None and len(value) > mark.max_length:
        return f"must have at most {_counted(mark.max_length, value)}"
    if mark.gt is not None and not value > mark.gt:
        return f"must be greater than {mark.gt}"
    if mark.ge is not None and not value >= mark.ge:
        return f"must be greater than or equal to {mark.ge}"
    if mark.lt is not None and not value < mark.lt:
        return f"must be less than {mark.lt}"
    if mark.le is not None and not value <= mark.le:
        return f"must be less than or equal to {mark.le}"
    return None


def _counted(count: int, value: object) -> str:
    what = "character" if isinstance(value, str) else "item"
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words))
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"
