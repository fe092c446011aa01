"""Judges kept pictures again: as they were judged, or by another model, view or thresholds.

It runs in the process of a command, never in the daemon. A score is the same to the last bit when
model, picture, view, decoding rule, processor and libraries are.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.core.errors import ModelError, RefusedError
from edge.core.image import EncodedPicture
from edge.core.terms import RuleName, Runtime
from edge.core.view import ViewConfig
from edge.inspection import (
    DecodingRule,
    Inspector,
    Judgement,
    Overrides,
    Thresholds,
    ViewCrop,
    combine,
    load_inspector,
)
from edge.models import ModelStore
from edge.storage import EvidenceRecord


@dataclass(frozen=True, slots=True)
class NewJudgement:
    """The new judgement. `scores`: of the frames, in order of capture."""

    judgement: Judgement
    scores: tuple[float, ...]


def judge_again(
    inspector: Inspector, record: EvidenceRecord, view: ViewConfig, at: Thresholds
) -> NewJudgement:
    """Judges all kept frames of a verdict, cut by `view`, and combines them by the rule of its
    part. Raises PictureError, RefusedError and ModelError."""
    crop = ViewCrop(view)
    rule = (record.result or {}).get("rule") or {}
    by_region: dict[str | None, list[Judgement]] = {name: [] for name in crop.regions}
    for picture in pictures_of(record):
        pixels, reduced = inspector.decode(picture, crop)
        for name, region in crop.cut(pixels, reduced).items():
            by_region[name].append(inspector.judge(inspector.prepare(region)))
    name, k = _rule_name(rule), rule.get("k")
    found = {
        region: combine(judgements, name, k, inspector.ok_label, at)
        for region, judgements in by_region.items()
    }
    wanted = _region(record, crop, found)
    return NewJudgement(found[wanted], tuple(j.score for j in by_region[wanted]))


def decide_again(record: EvidenceRecord, at: Thresholds) -> Judgement | None:
    """The judgement by other thresholds from the recorded probabilities, without the model; None
    when there are none."""
    judged, ok_label = record.judged or {}, str(record.settings.get("ok_label"))
    probabilities = judged.get("probabilities") or {}
    if ok_label not in probabilities:
        return None
    before = Judgement(record.verdict, judged["score"], "", probabilities, None)
    return combine([before], "single", None, ok_label, at)


def pictures_of(record: EvidenceRecord) -> Iterator[EncodedPicture]:
    """The kept frames in order of capture. Raises RefusedError for one that is gone, and
    PictureError for one that is damaged."""
    order = sorted(range(len(record.frames)), key=lambda number: record.frames[number].seq)
    for number in order:
        try:
            yield record.picture(number)
        except OSError as error:
            raise RefusedError(
                f"{record.path(number)}: the picture cannot be read ({error.strerror}); a limit of "
                "the archive may have removed it now"
            ) from error


def find_model(sha256: str, configured: Path, store: ModelStore) -> Path | None:
    """The model file with this hash: the configured one, a version of the store, or one in the
    configured one's folder; None: there is none."""
    candidates = [configured, store.path_of(sha256)]
    if configured.parent.is_dir():
        candidates += sorted(p for p in configured.parent.glob("*.tflite") if p != configured)
    for path in candidates:
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return path
        except OSError:
            continue
    return None


def recorded_inspector(
    record: EvidenceRecord, path: Path, runtime: Runtime, threads: int
) -> Inspector:
    """The model at `path` with the settings of the record, not with those of config.yaml. Raises
    EdgeInspectError."""
    settings = record.settings
    at = recorded_thresholds(record)
    plain = "labels" in settings
    overrides = Overrides(
        labels=tuple(settings["labels"]) if plain else None,
        ok_label=settings.get("ok_label") if plain else None,
        output=settings.get("output"),
        scaling=settings.get("scaling"),
        reject_at=at.reject_at,
        review_from=at.review_from,
    )
    inspector = load_inspector(path, overrides, runtime, threads)
    rule = None if record.decoding is None else DecodingRule.read(record.decoding)
    return replace(inspector, input=inspector.input.replace(decoding=rule))


def recorded_thresholds(record: EvidenceRecord) -> Thresholds:
    """Those that the verdict states; hysteresis may have lowered them. Raises ModelError."""
    stated: dict[str, Any] = (record.result or {}).get("thresholds") or {}
    reject_at, review_from = stated.get("reject_at"), stated.get("review_from")
    if reject_at is None or review_from is None:
        raise ModelError(f"{record.id}: its record states no thresholds")
    return Thresholds(reject_at=reject_at, review_from=review_from)


def _rule_name(rule: dict[str, Any]) -> RuleName:
    name = rule.get("name", "single")
    known: tuple[RuleName, ...] = ("single", "mean", "worst", "k_of_n")
    return next((one for one in known if one == name), "single")


def _region(
    record: EvidenceRecord, crop: ViewCrop, found: dict[str | None, Judgement]
) -> str | None:
    """The region whose judgement the verdict is. Raises RefusedError."""
    if crop.worst_decides:
        return max(found, key=lambda name: found[name].score)
    wanted = (record.result or {}).get("region")
    if wanted in found:
        return str(wanted) if wanted is not None else None
    if len(found) == 1:
        return next(iter(found))
    raise RefusedError(
        f"{record.id}: its region {wanted!r} is not in the view (it has "
        f"{', '.join(map(str, found))}); one verdict a region cannot be compared"
    )


def why_unjudgeable(record: EvidenceRecord) -> str | None:
    """Why a verdict has no score to compare; None when it has one."""
    if record.fault is not None:
        return record.fault
    if record.result is None:
        return "the picture is of an earlier version, which kept no record with it"
    if (record.judged or {}).get("score") is None:
        return f"the verdict is {record.verdict}: {record.result.get('reason')}"
    return None
