"""The commands over history, evidence and labels. All transports and the command line call them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

from edge.config import ArchiveConfig
from edge.core.messages import rfc3339
from edge.plant.known_verdict import KnownVerdict, why_no_picture
from edge.plant.line_estimate import Counts, LineEstimate, estimate_line
from edge.plant.record_ids import MOST_SHOWN, digits_of, the_only, times_of, unknown, whole_id
from edge.plant.record_values import (
    HistoryEntry,
    LabelReply,
    LabelRequest,
    Picture,
    RecordQuery,
    RequestError,
    UndoRequest,
    UnknownRecordError,
    VerdictDetails,
)
from edge.storage import (
    EvidenceReader,
    HistoryError,
    HistoryQuery,
    HistoryRow,
    Label,
    Labels,
    label_problem,
)

_PAGE = 50
_KINDS = {".png": "image/png", ".jpg": "image/jpeg"}


class History(Counts, Protocol):
    """The queries of the history; `edge.storage.HistoryReader` is the real part."""

    def verdicts(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Newest first."""
        ...

    def by_id(self, name: str) -> HistoryRow | None:
        """The verdict with this id."""
        ...

    def by_prefix(self, prefix: str, limit: int = 2) -> list[HistoryRow]:
        """The verdicts whose ids begin so."""
        ...


class RecordsService:
    """Answers from the files. Safe between threads."""

    def __init__(
        self,
        history: History,
        labels: Labels,
        archive: Callable[[], ArchiveConfig],
        ok_label: Callable[[], str],
        now: Callable[[], float],
        *,
        skipped_samples: Callable[[], int | None] = lambda: None,
    ) -> None:
        """
        archive   the section of config.yaml; a reload changes it
        ok_label  the label of good parts
        now       seconds since the epoch
        skipped_samples  pictures of the random sample that the running daemon did not keep
        """
        self._history, self._labels = history, labels
        self._archive, self._ok_label, self._now = archive, ok_label, now
        self._skipped_samples = skipped_samples

    def history(self, query: RecordQuery) -> Iterator[HistoryEntry]:
        """Verdicts that the box remembers, newest first."""
        count = 0
        for row in self._fitting(query):
            label = self._labels.of(row.body["id"])
            if label is not None and query.unlabelled:
                continue
            truth = None if label is None else label.label
            yield HistoryEntry(row.seq, row.body, truth, row.doubtful)
            count += 1
            if count == query.of_model.limit:
                return

    def show(self, name: str) -> VerdictDetails:
        """All that is known of one verdict."""
        known = self._known(name)
        row, kept, truth = known.row, known.kept, known.truth
        return VerdictDetails(
            known.id,
            known.body,
            None if truth is None else truth.label,
            known.actions,
            known.made_at,
            row is not None and row.doubtful,
            row is not None,
            known.evidence(),
            self._why_no_picture(known) if kept is None else str(kept.path(0)),
        )

    def picture(self, name: str, number: int = 1) -> Picture:
        """A kept picture of a verdict; `number`: of a part's frame, from 1."""
        known = self._known(name)
        name, kept = known.id, known.kept
        if kept is None:
            raise UnknownRecordError(f"{name}: {self._why_no_picture(known)}")
        if not 1 <= number <= len(kept.frames):
            raise UnknownRecordError(
                f"{name}: has no picture {number}; {len(kept.frames)} of it are kept"
            )
        path = kept.path(number - 1)
        try:
            return Picture(kept.read(number - 1), _KINDS[path.suffix])
        except OSError as error:
            raise UnknownRecordError(
                f"{path}: cannot be read ({error.strerror}); the budget may have removed it now"
            ) from error

    def label(self, request: LabelRequest) -> LabelReply:
        """Labels all, or none."""
        if (problem := label_problem(request.label)) is not None:
            raise RequestError(f"label: {problem}")
        at = rfc3339(self._now())
        given, remarks = [], []
        found = {known.id: known for known in map(self._known, request.ids)}
        for name, known in found.items():
            given.append(known.with_facts(Label(name, request.label, at, request.by, request.note)))
            if known.known_labels and request.label not in known.known_labels:
                remarks.append(
                    f"the model knows no label {request.label!r} (it knows "
                    f"{', '.join(known.known_labels)}); the label is kept all the same, and "
                    "training makes a class of it"
                )
        self._labels.add(given)
        return LabelReply(tuple(given), tuple(dict.fromkeys(remarks)))

    def undo(self, request: UndoRequest) -> LabelReply:
        """Takes back all, or none."""
        names = list(dict.fromkeys(self._id(one)[0] for one in request.ids))
        at = rfc3339(self._now())
        return LabelReply(tuple(self._labels.undo(names, at=at, by=request.by, note=request.note)))

    def labels(self) -> Sequence[Label]:
        """All labels that count."""
        return self._labels.all()

    def estimate(self, since: float | None = None) -> dict[str, Any]:
        """Escape and false-reject rate of the line."""
        return self.line_estimate(since).to_dict()

    def line_estimate(self, since: float | None = None) -> LineEstimate:
        """The same as a value."""
        return estimate_line(
            self._history, self._labels.all(), self._ok_label(), since, self._skipped_samples()
        )

    def _pictures(self) -> EvidenceReader:
        return EvidenceReader(self._archive().path)

    def _rows(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """In small pages: few bodies are in memory, and Python's lock is never held for long."""
        left, before = query.limit, query.before_seq
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = list(self._history.verdicts(replace(query, limit=size, before_seq=before)))
            yield from page
            if len(page) < size:
                return
            before = page[-1].seq
            left = None if left is None else left - size

    def _fitting(self, query: RecordQuery) -> Iterator[HistoryRow]:
        """Newest first; perhaps more than the limit, and labelled ones too."""
        if query.truth is not None or query.why is not None:
            found = (self._history.by_id(name) for name in self._named(query))
            fitting = [row for row in found if row is not None and _fits(row, query.of_model)]
            return iter(sorted(fitting, key=lambda row: -row.seq))
        asked = query.of_model
        return self._rows(replace(asked, limit=None) if query.unlabelled else asked)

    def _named(self, query: RecordQuery) -> Iterator[str]:
        """The ids of labels or of kept pictures, which are few beside the verdicts."""
        truths = {label.id: label.label for label in self._labels.all()}
        if query.why is None:
            yield from (name for name, truth in truths.items() if truth == query.truth)
            return
        for record in self._pictures().records(query.of_model.since):
            labelled = record.id in truths
            if (labelled and query.unlabelled) or query.why not in record.why:
                continue
            if query.truth in (None, truths.get(record.id)):
                yield record.id

    def _known(self, text: str) -> KnownVerdict:
        """The stored facts of a verdict. Without a readable history, picture and labels count.

        Raises UnknownRecordError when nothing is known, and HistoryError when only the history
        could know it.
        """
        name, fault = self._id(text)
        row = None
        try:
            row = self._history.by_id(name)
        except HistoryError as error:
            fault = error
        kept, truth = self._pictures().find(name), self._labels.of(name)
        known = KnownVerdict(name, row, kept, truth, self._labels.actions(name))
        if row is None and kept is None and not known.actions:
            raise fault or UnknownRecordError(unknown(name))
        return known

    def _id(self, text: str) -> tuple[str, HistoryError | None]:
        """The whole id, and why the history could not be asked for it."""
        digits = digits_of(text)
        if (name := whole_id(digits)) is not None:
            return name, None
        try:
            rows = self._history.by_prefix(digits, MOST_SHOWN + 1)
        except HistoryError as error:
            try:
                return the_only(text, digits, self._names_beside_history(digits)), error
            except UnknownRecordError:
                raise error from None
        names = chain(self._names_beside_history(digits), (row.body["id"] for row in rows))
        return the_only(text, digits, names), None

    def _names_beside_history(self, digits: str) -> Iterator[str]:
        """The ids of labels, and of kept pictures of that time."""
        first, last = times_of(digits)
        yield from (label.id for label in self._labels.all())
        yield from (record.id for record in self._pictures().records(first, last + 0.001))

    def _why_no_picture(self, known: KnownVerdict) -> str:
        return why_no_picture(known, self._archive(), self._pictures())


def _fits(row: HistoryRow, query: HistoryQuery) -> bool:
    body = row.body
    at = datetime.fromisoformat(body["captured_at"]).timestamp()
    recipe = body.get("recipe")
    return (
        (query.since is None or at >= query.since)
        and (query.until is None or at < query.until)
        and query.camera in (None, body["camera"])
        and query.verdict in (None, body["verdict"])
        and query.label in (None, body["label"])
        and query.part in (None, body["part"])
        and query.recipe in (None, recipe and recipe["number"])
        and (query.before_seq is None or row.seq < query.before_seq)
    )
