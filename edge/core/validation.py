"""Turns pydantic's errors into sentences: the place, the mistake and the fix."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from edge.core.text import Loc

_MAX_HINTS = 100  # each takes milliseconds
# missing, unknown: a key. type: a value of the wrong type. value: out of range. rule: values that
# exclude each other, or a sentence that shows the value itself.
ProblemKind = Literal["missing", "unknown", "type", "value", "rule"]

_KEYS = "must hold keys and values, one a line, indented"
_OF_TYPE = {  # pydantic's error type → our sentence
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "path_type": "must be text",
    "model_type": _KEYS,
    "dict_type": _KEYS,
    "list_type": "must be a list",
}
_WITHOUT_QUOTES = {"bool_type", "int_type", "float_type"}
_LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "greater than or equal to"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `loc` is its path of keys and list indexes; `got` is the value there."""

    loc: Loc
    kind: ProblemKind
    text: str
    got: Any = None

    @property
    def key(self) -> str:
        """The path as text, such as `cameras[0].source`; empty for the whole."""
        return key_path(self.loc)

    @property
    def sentence(self) -> str:
        """The text, and the value where there is one, cut to 80 characters."""
        if self.kind in ("missing", "rule"):
            return self.text
        return f"{self.text} (got {self.got!r:.80})"


class ValidationError(ValueError):
    """The data from outside is wrong. `problems` holds at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.key or 'this'}: {p.text}" for p in problems))
        self.problems = tuple(problems)


def key_path(loc: Loc) -> str:
    """A path as text: keys joined by dots, list indexes in brackets."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def problems_of(
    error: pydantic.ValidationError, model: type[BaseModel], raw: Any
) -> tuple[Problem, ...]:
    """One Problem per wrong place. `raw` is the validated data."""
    places: dict[Loc, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        places.setdefault(_place(details, raw), []).append(details)
    return tuple(
        _problem(loc, found, model, hint=number < _MAX_HINTS)
        for number, (loc, found) in enumerate(places.items())
    )


def _place(details: ErrorDetails, raw: Any) -> Loc:
    """pydantic's path without the names of union members, which appear in no file."""
    loc: list[str | int] = []
    at = raw
    for part in details["loc"]:
        if at is details["input"] and details["type"] not in ("missing", "dict_type"):
            break
        if isinstance(at, dict) and (part in at or details["type"] == "missing"):
            at = at.get(part)
            loc.append(str(part))
        elif isinstance(at, (list, tuple)) and isinstance(part, int) and part < len(at):
            at = at[part]
            loc.append(part)
        else:
            break
    return tuple(loc)


def _problem(
    loc: Loc, found: Sequence[ErrorDetails], model: type[BaseModel], *, hint: bool
) -> Problem:
    """One Problem from pydantic's errors at one place. A union gives one error per member.

    `hint`: names the known key that is close to an unknown one.
    """
    sentences = [_sentence(loc, details, model, hint=hint) for details in found]
    # A member of the right type is more precise: only its range is violated.
    precise = [one for one in sentences if one[0] != "type"]
    kind, text = (precise or sentences)[0]
    if not precise:
        words = dict.fromkeys(text.removeprefix("must be ") for _, text in sentences)
        text = f"must be {_listed(tuple(words))}" if len(words) > 1 else text
    return Problem(loc, kind, text, None if kind == "missing" else found[0]["input"])


def _sentence(
    loc: Loc, details: ErrorDetails, model: type[BaseModel], *, hint: bool
) -> tuple[ProblemKind, str]:
    name, raw, context = details["type"], details["input"], details.get("ctx", {})
    if name == "missing":
        return "missing", "is missing; add it"
    if name in ("extra_forbidden", "invalid_key"):
        # The key is no text, and pydantic does not give its value.
        kind: ProblemKind = "rule" if name == "invalid_key" else "unknown"
        known = _keys_at(model, loc[:-1]) if hint else ()
        return kind, _unknown(str(loc[-1]) if loc else str(raw), known)
    if name == "literal_error":
        return "type", f"must be {context['expected']}"
    if name == "float_type" and type(raw) is int:  # more than 308 digits
        return "value", "must be a finite number"
    if name in _OF_TYPE:
        quoted = isinstance(raw, str) and name in _WITHOUT_QUOTES
        return "type", _OF_TYPE[name] + (", without quotes" if quoted else "")
    if name in ("value_error", "rule"):
        # A rule between keys concerns a whole section: there is no single value to show.
        kind = "rule" if name == "rule" or isinstance(raw, dict) else "value"
        return kind, str(context.get("error", details["msg"]))
    return "value", _limit(name, context) or details["msg"].replace("Input should", "must")


def _limit(name: str, context: dict[str, Any]) -> str | None:
    if name in _LIMITS:
        key, words = _LIMITS[name]
        return f"must be {words} {_number(context[key])}"
    if name in ("string_too_short", "too_short"):
        return f"must have at least {_counted(context['min_length'], name)}"
    if name in ("string_too_long", "too_long"):
        return f"must have at most {_counted(context['max_length'], name)}"
    return None


def _number(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def _counted(count: int, name: str) -> str:
    what = "character" if name.startswith("string") else "item"
    return f"{count} {what}{'' if count == 1 else 's'}"


def _unknown(key: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # only a mistake needs it

    close = get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "remove it"
    return f"unknown key; {hint}"


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys of the model at a place."""
    for part in loc:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if isinstance(part, str) and part in fields:
            model = next(_models_in(fields[part].annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
