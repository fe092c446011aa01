"""The stored facts of one verdict: its row in the history, its kept picture and its labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge.config import ArchiveConfig
from edge.core.messages import rfc3339
from edge.core.times import local_time
from edge.plant.record_ids import times_of
from edge.storage import EvidenceReader, EvidenceRecord, HistoryRow, Label, LabelAction


@dataclass(frozen=True, slots=True)
class KnownVerdict:
    """At least one of `row`, `kept` and `actions` is there.

    - `row`: None when the history does not have it, or cannot be read.
    - `kept`: None without a picture.
    - `truth`, `actions`: the label that counts, and all that was done with it.
    """

    id: str
    row: HistoryRow | None
    kept: EvidenceRecord | None
    truth: Label | None
    actions: tuple[LabelAction, ...]

    @property
    def body(self) -> dict[str, Any] | None:
        """Its result body; None when only a picture of an earlier version, or a label, is left."""
        if self.row is not None:
            return self.row.body
        return None if self.kept is None else self.kept.result

    @property
    def made_at(self) -> float:
        """Seconds since the epoch, by the time in the id."""
        return times_of(self.id.replace("-", ""))[0]

    @property
    def known_labels(self) -> Sequence[str]:
        """The labels of the model that judged; none for an `error`."""
        body = self.body
        return () if body is None else tuple(body["probabilities"])

    def evidence(self) -> dict[str, Any] | None:
        """The record beside the picture, without the result."""
        kept = self.kept
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

    def with_facts(self, label: Label) -> Label:
        """The label with the facts of its verdict. Facts that are gone come from the label so
        far."""
        body, kept, before = self.body, self.kept, self.truth
        if body is None and before is not None:
            return replace(before, label=label.label, at=label.at, by=label.by, note=label.note)
        if body is None:
            made = rfc3339(self.made_at)
            verdict, camera = (None, None) if kept is None else (kept.verdict, kept.camera)
            return replace(label, verdict=verdict, camera=camera, captured_at=made)
        if kept is not None:
            rate, sampled = kept.pass_sample, "sample" in kept.why
        else:  # the picture may have been there when it was labelled first
            rate = self.row.pass_sample if self.row is not None else 0.0
            sampled = before is not None and before.sampled
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
        )


def why_no_picture(known: KnownVerdict, archive: ArchiveConfig, pictures: EvidenceReader) -> str:
    """Whether the budget has removed it, or it was never kept."""
    if not archive.enabled:
        return "no pictures are kept on this box; set archive.enabled: true"
    at, body = local_time(known.made_at), known.body
    oldest = next(pictures.records(), None)
    older = oldest is None or known.made_at < oldest.time_ms / 1000
    budget = "the budget has removed it (archive.max_mb, max_age_d, min_free_mb)"
    since = f"; the oldest kept is of {local_time(oldest.time_ms / 1000)}" if oldest else ""
    if body is not None and body["verdict"] in archive.keep:
        unless = "" if older else ", or it could not be written then (see the log)"
        return f"its picture was kept at {at} and {budget}{unless}{since}"
    if older:
        return f"if its picture of {at} was kept, {budget}{since}"
    return "no picture of it was kept; archive.keep, near_threshold and pass_sample say which are"
