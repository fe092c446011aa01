"""Requests about the box's records, and the answers: history, evidence and labels.

`Records` is the port. `RecordsService` answers from the files; the client of the local socket
answers through the running daemon.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol, Self, TypeVar, get_args

from pydantic import AfterValidator, Field

from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.record import Items, Model
from edge.core.text import fault_in, typed
from edge.core.times import parse_time
from edge.core.validation import ValidationError
from edge.core.verdict import OUTCOMES
from edge.storage import HistoryQuery, Label, LabelAction, Why

M = TypeVar("M", bound=Model)

DEFAULT_LIMIT = 100
MOST_IDS = 5000

_TEXTS = ("camera", "verdict", "label", "truth", "part", "why")
_CHOICES = {"verdict": OUTCOMES, "why": get_args(Why), "unlabelled": ("true", "false")}
_NUMBERS = {"recipe": 65_535, "limit": 10**9, "before_seq": 2**63 - 1}
FIELDS = ("since", "until", *_TEXTS, "unlabelled", *_NUMBERS)


class UnknownRecordError(RefusedError):
    """The box has no such verdict or picture, or has it no more."""


class RequestError(EdgeInspectError):
    """A request in the wrong form."""


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which verdicts.

    - `of_model`: by the box's verdict.
    - `truth`: by a person's label.
    - `why`: those whose picture is kept for this reason.
    - `unlabelled`: only those without a label.
    """

    of_model: HistoryQuery
    truth: str | None = None
    why: str | None = None
    unlabelled: bool = False

    @classmethod
    def read(cls, fields: Mapping[str, str], now: float, mark: str = "") -> Self:
        """From texts under the names of FIELDS. `limit` 0: all. Raises RequestError or TimeError.

        now: seconds since the epoch. mark: the prefix of a name in messages, such as `--`.
        """
        for name in fields:
            if name not in FIELDS:
                raise RequestError(f"{mark}{name}: is unknown; there are {', '.join(FIELDS)}")
        texts = {name: typed(fields[name]) for name in _TEXTS if name in fields}
        for name, text in texts.items():
            if (fault := fault_in(text)) is not None:
                raise RequestError(f"{mark}{name}: {fault}")
        for name, allowed in _CHOICES.items():
            if name in fields and fields[name] not in allowed:
                raise RequestError(
                    f"{mark}{name}: must be one of {', '.join(allowed)} (got {fields[name][:60]!r})"
                )
        unlabelled = fields.get("unlabelled") == "true"
        if unlabelled and "truth" in fields:
            raise RequestError(
                f"{mark}truth and {mark}unlabelled: an unlabelled verdict has no truth; use one "
                "of the two"
            )
        times = {
            name: parse_time(fields[name], now, f"{mark}{name}")
            for name in ("since", "until")
            if name in fields
        }
        numbers: dict[str, int | None] = {
            name: _number(fields[name], most, f"{mark}{name}")
            for name, most in _NUMBERS.items()
            if name in fields
        }
        numbers["limit"] = numbers.get("limit", DEFAULT_LIMIT) or None
        truth, why = texts.pop("truth", None), texts.pop("why", None)
        of_model = HistoryQuery(**times, **texts, **numbers)  # type: ignore[arg-type]
        return cls(of_model, truth, why, unlabelled)

    def fields(self) -> dict[str, str]:
        """The texts that `read` accepts."""
        values = {**asdict(self.of_model), "truth": self.truth, "why": self.why}
        values["unlabelled"] = "true" if self.unlabelled else None
        values["limit"] = values["limit"] or 0
        return {
            name: repr(value) if isinstance(value, float) else str(value)
            for name, value in values.items()
            if value is not None
        }


def _number(text: str, most: int, name: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise RequestError(f"{name}: must be a whole number from 0 to {most} (got {text[:60]!r})")
    return int(text)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A verdict that the box remembers.

    - `seq`: its place in history; the next page begins before it.
    - `body`: the `result` body.
    - `truth`: a person's label.
    - `doubtful`: the clock had jumped, so its times may be wrong.
    """

    seq: int
    body: dict[str, Any]
    truth: str | None
    doubtful: bool

    def to_dict(self) -> dict[str, Any]:
        """The result body, with what history adds behind it."""
        extra: dict[str, Any] = {"truth": self.truth}
        if self.doubtful:
            extra["clock_doubtful"] = True
        if self.seq != self.body.get("seq"):
            extra["history_seq"] = self.seq
        return {**self.body, **extra}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`."""
        body = dict(raw)
        truth, doubtful = body.pop("truth", None), body.pop("clock_doubtful", False)
        return cls(body.pop("history_seq", body.get("seq", 0)), body, truth, doubtful)


@dataclass(frozen=True, slots=True)
class VerdictDetails:
    """All that is known of one verdict.

    - `result`: its body; None when history has removed it and its picture has no record.
    - `truth`, `actions`: the label that counts, and all that was done with it.
    - `made_at`: seconds since the epoch, by the time in the id.
    - `evidence`: the record beside the picture, without the result; None: no picture is kept.
    - `picture`: where the picture is, or why there is none.
    """

    id: str
    result: dict[str, Any] | None
    truth: str | None
    actions: tuple[LabelAction, ...]
    made_at: float
    doubtful: bool
    remembered: bool
    evidence: dict[str, Any] | None
    picture: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`."""
        actions = tuple(LabelAction(**one) for one in raw["actions"])
        return cls(**{**raw, "actions": actions})


@dataclass(frozen=True, slots=True)
class Picture:
    """A kept picture as its file holds it. `kind`: image/jpeg or image/png."""

    data: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class LabelReply:
    """The labels that were given or taken back, and remarks of one sentence each."""

    labels: tuple[Label, ...]
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"labels": [asdict(one) for one in self.labels], "remarks": list(self.remarks)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`."""
        return cls(tuple(Label(**one) for one in raw["labels"]), tuple(raw["remarks"]))


Ids = Annotated[
    Items[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MOST_IDS)
]
_Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(typed)]
_Note = Annotated[str, Field(max_length=500), AfterValidator(typed)]


class LabelRequest(Model):
    """A label for the parts of these verdicts. `by`: who says it."""

    ids: Ids
    label: Annotated[str, AfterValidator(typed)]
    by: _Name
    note: _Note | None = None


class UndoRequest(Model):
    """The last label of each of these verdicts is taken back."""

    ids: Ids
    by: _Name
    note: _Note | None = None


def read_request(kind: type[M], raw: Any) -> M:
    """A request from outside. Raises RequestError, which names every mistake."""
    try:
        return kind.read(raw)
    except ValidationError as error:
        raise RequestError(
            "; ".join(f"{one.key}: {one.sentence}" for one in error.problems)
        ) from None


class Records(Protocol):
    """The commands over history, evidence and labels. Ids may be unique beginnings of at least
    eight digits. All raise EdgeInspectError."""

    def history(self, query: RecordQuery) -> Iterator[HistoryEntry]:
        """Verdicts that the box remembers, newest first."""
        ...

    def show(self, name: str) -> VerdictDetails:
        """All that is known of one verdict."""
        ...

    def picture(self, name: str, number: int = 1) -> Picture:
        """A kept picture of a verdict; `number`: of a part's frame, from 1."""
        ...

    def label(self, request: LabelRequest) -> LabelReply:
        """Labels all, or none."""
        ...

    def undo(self, request: UndoRequest) -> LabelReply:
        """Takes back all, or none."""
        ...

    def labels(self) -> Sequence[Label]:
        """All labels that count."""
        ...

    def estimate(self, since: float | None = None) -> dict[str, Any]:
        """Escape and false-reject rate of the line, as `LineEstimate.to_dict` has them."""
        ...
