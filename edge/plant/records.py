"""The commands over history, evidence and labels. All transports and the command line call them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Protocol

from edge.config import ArchiveConfig
from edge.core.messages import rfc3339
from edge.core.times import local_time
from edge.plant.line_estimate import Counts, LineEstimate, estimate_line
from edge.plant.record_ids import MOST_SHOWN, digits_of, the_only, times_of, unknown, whole_id
from edge.plant.record_values import (
    Labelled,
    LabelRequest,
    Picture,
    RecordQuery,
    Remembered,
    RequestError,
    Shown,
    UndoRequest,
    UnknownRecordError,
)
from edge.storage import (
    EvidenceReader,
    EvidenceRecord,
    HistoryQuery,
    HistoryRow,
    Label,
    Labels,
    label_problem,
)

_PAGE = 50
_KINDS = {".png": "image/png", ".jpg": "image/jpeg"}


class History(Counts, Protocol):
    """What is read of the history; `edge.storage.HistoryReader` is the real part."""

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
    ) -> None:
        """
        archive   the section of config.yaml; a reload changes it
        ok_label  the label of good parts
        now       seconds since the epoch
        """
        self._history, self._labels = history, labels
        self._archive, self._ok_label, self._now = archive, ok_label, now

    def history(self, query: RecordQuery) -> Iterator[Remembered]:
        """Verdicts that the box remembers, newest first."""
        rows = self._labelled(query) if query.truth is not None else self._rows(query.of_model)
        for row in rows:
            label = self._labels.of(row.body["id"])
            truth = None if label is None else label.label
            yield Remembered(row.seq, row.body, truth, row.doubtful)

    def show(self, name: str) -> Shown:
        """All that is known of one verdict."""
        name = self._id(name)
        row, kept = self._history.by_id(name), self._pictures().find(name)
        label, actions = self._labels.of(name), self._labels.actions(name)
        if row is None and kept is None and not actions:
            raise UnknownRecordError(unknown(name))
        result = row.body if row is not None else kept.result if kept is not None else None
        made_at = _made_at(name)
        return Shown(
            name,
            result,
            None if label is None else label.label,
            actions,
            made_at,
            row is not None and row.doubtful,
            row is not None,
            _evidence(kept),
            str(kept.path(0)) if kept is not None else self._why_no_picture(result, made_at),
        )

    def picture(self, name: str, number: int = 1) -> Picture:
        """A kept picture of a verdict; `number`: of a part's frame, from 1."""
        name = self._id(name)
        kept = self._pictures().find(name)
        if kept is None:
            row = self._history.by_id(name)
            if row is None and not self._labels.actions(name):
                raise UnknownRecordError(unknown(name))
            why = self._why_no_picture(None if row is None else row.body, _made_at(name))
            raise UnknownRecordError(f"{name}: {why}")
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

    def label(self, request: LabelRequest) -> Labelled:
        """Labels all, or none."""
        if (problem := label_problem(request.label)) is not None:
            raise RequestError(f"label: {problem}")
        at = rfc3339(self._now())
        given, remarks = [], []
        for name in dict.fromkeys(self._id(one) for one in request.ids):
            label, known = self._with_facts(
                Label(name, request.label, at, request.by, request.note)
            )
            given.append(label)
            if known and request.label not in known:
                remarks.append(
                    f"the model knows no label {request.label!r} (it knows {', '.join(known)}); "
                    "the label is kept all the same, and training makes a class of it"
                )
        self._labels.add(given)
        return Labelled(tuple(given), tuple(dict.fromkeys(remarks)))

    def undo(self, request: UndoRequest) -> Labelled:
        """Takes back all, or none."""
        names = list(dict.fromkeys(self._id(one) for one in request.ids))
        at = rfc3339(self._now())
        return Labelled(tuple(self._labels.undo(names, at=at, by=request.by, note=request.note)))

    def labels(self) -> Sequence[Label]:
        """All labels that count."""
        return self._labels.all()

    def estimate(self, since: float | None = None) -> dict[str, Any]:
        """Escape and false-reject rate of the line."""
        return self.line_estimate(since).to_dict()

    def line_estimate(self, since: float | None = None) -> LineEstimate:
        """The same as a value."""
        return estimate_line(self._history, self._labels.all(), self._ok_label(), since)

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

    def _labelled(self, query: RecordQuery) -> Iterator[HistoryRow]:
        """Through the labels, which are few beside the verdicts."""
        names = [label.id for label in self._labels.all() if label.label == query.truth]
        found = (self._history.by_id(name) for name in names)
        fitting = [row for row in found if row is not None and _fits(row, query.of_model)]
        fitting.sort(key=lambda row: -row.seq)
        yield from fitting[: query.of_model.limit]

    def _id(self, text: str) -> str:
        digits = digits_of(text)
        return whole_id(digits) or the_only(text, digits, self._names_from(digits))

    def _names_from(self, digits: str) -> Iterator[str]:
        """The ids of that time: of labels, kept pictures, and remembered verdicts."""
        first, last = times_of(digits)
        yield from (label.id for label in self._labels.all())
        yield from (record.id for record in self._pictures().records(first, last + 0.001))
        yield from (row.body["id"] for row in self._history.by_prefix(digits, MOST_SHOWN + 1))

    def _with_facts(self, label: Label) -> tuple[Label, Sequence[str]]:
        """The label with the facts of its verdict, and the labels that its model knows."""
        row, kept = self._history.by_id(label.id), self._pictures().find(label.id)
        before = self._labels.of(label.id)
        body = row.body if row is not None else kept.result if kept is not None else None
        if body is None and before is not None:
            earlier = replace(before, label=label.label, at=label.at, by=label.by, note=label.note)
            return earlier, ()
        if body is None and kept is None:
            raise UnknownRecordError(unknown(label.id))
        sampled = kept is not None and "sample" in kept.why
        if kept is None and before is not None:
            sampled = before.sampled  # its picture was there when it was labelled first
        rate = kept.pass_sample if kept is not None else row.pass_sample if row is not None else 0.0
        if body is None:  # a picture of an earlier version
            assert kept is not None
            return replace(
                label,
                verdict=kept.verdict,
                camera=kept.camera,
                captured_at=rfc3339(kept.time_ms / 1000),
            ), ()
        return replace(
            label,
            verdict=body["verdict"],
            score=body["score"],
            camera=body["camera"],
            part=body["part"],
            captured_at=body["captured_at"],
            pass_sample=rate,
            sampled=sampled,
            model=body["model"] and body["model"]["sha256"],
        ), tuple(body["probabilities"])

    def _why_no_picture(self, result: dict[str, Any] | None, made_at: float) -> str:
        """Whether the budget has removed it, or it was never kept."""
        archive = self._archive()
        if not archive.enabled:
            return "no pictures are kept on this box; set archive.enabled: true"
        oldest = next(self._pictures().records(), None)
        if oldest is not None and made_at >= oldest.time_ms / 1000:
            return (
                "no picture of it was kept; archive.keep, near_threshold and pass_sample say "
                "which are"
            )
        since = (
            "" if oldest is None else f"; the oldest kept is of {local_time(oldest.time_ms / 1000)}"
        )
        was = "was kept at" if result and result["verdict"] in archive.keep else "if kept, was of"
        return (
            f"its picture {was} {local_time(made_at)} and the budget has removed it "
            f"(archive.max_mb, max_age_d, min_free_mb){since}"
        )


def _made_at(name: str) -> float:
    return times_of(name.replace("-", ""))[0]


def _evidence(kept: EvidenceRecord | None) -> dict[str, Any] | None:
    if kept is None:
        return None
    return {
        "why": list(kept.why),
        "pass_sample": kept.pass_sample,
        "view": kept.view,
        "judged_on": dict(kept.judged_on),
        "folder": str(kept.folder),
        "frames": [asdict(frame) for frame in kept.frames],
        "fault": kept.fault,
    }


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
