"""The sheet of own pictures: what a candidate would change of the box's newest kept pictures.

Labels that people gave are the truth: the sheet says how many known defects the candidate would
pass, and how many good parts it would fail, beside those of the version that judges now. It runs in
the command's process, on one thread and while nothing else needs the processor.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from edge.cli.rejudge_comparison import (
    Comparison,
    Limits,
    PictureVerdict,
    Rejudge,
    day_of,
    recorded_verdict,
)
from edge.config import Config
from edge.core.errors import EdgeInspectError
from edge.core.text import escape
from edge.core.validation import ValidationError
from edge.core.verdict import Outcome
from edge.inspection import Inspector, ModelFile
from edge.models import Version, configs_judging_by, open_store
from edge.pipeline import build_inspector
from edge.storage import EvidenceReader, EvidenceRecord, Labels

SCHEMA = "edge-inspect/model-sheet/1"
NEWEST = 2000  # pictures, unless the person says otherwise
_REASONS = 3  # printed at most

Truth = Literal["good", "defective"]
_WRONG: tuple[tuple[Truth, Outcome, str], ...] = (
    ("defective", "pass", "known defects"),
    ("good", "fail", "known good parts"),
)


@dataclass(frozen=True, slots=True)
class JudgedPicture:
    """A kept picture by the version that judges now (`before`) and by the candidate. `truth`: what
    a person said; None: nobody did."""

    comparison: Comparison
    truth: Truth | None

    @property
    def change(self) -> tuple[str, str] | None:
        """The verdict before and after; None: it stays."""
        before, after = self.comparison.before.verdict, self.comparison.after.verdict
        return None if before == after else (before, after)


@dataclass(slots=True)
class ModelSheet:
    """`not_judged`: reasons, and how many pictures each concerns."""

    pictures: list[JudgedPicture] = field(default_factory=list)
    not_judged: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def changes(self) -> list[tuple[tuple[str, str], list[JudgedPicture]]]:
        """By direction, those that pass now first, then the most frequent."""
        found: dict[tuple[str, str], list[JudgedPicture]] = {}
        for one in self.pictures:
            if one.change is not None:
                found.setdefault(one.change, []).append(one)
        return sorted(found.items(), key=lambda item: (item[0][1] != "pass", -len(item[1])))

    def wrong(self, truth: Truth, verdict: Outcome) -> tuple[int, int, int]:
        """How many parts people know to be so, and how many of them get this verdict now and by the
        candidate."""
        known = [one.comparison for one in self.pictures if one.truth == truth]
        now = sum(one.before.verdict == verdict for one in known)
        return len(known), now, sum(one.after.verdict == verdict for one in known)

    def lines(self, candidate: str, active: str) -> list[str]:
        """For a terminal."""
        changes = self.changes
        count = sum(len(found) for _, found in changes)
        lines = [f"of the last {len(self.pictures):,} parts {count:,} would change"]
        for (before, after), found in changes:
            lines.append(f"  {len(found):,} {before} → {after}{_remark(after, found)}")
        for truth, verdict, what in _WRONG:
            known, now, then = self.wrong(truth, verdict)
            if known:
                lines.append(
                    f"of {known:,} {what} {candidate} would {verdict} {then:,} ({active}: {now:,})"
                )
        if not any(one.truth for one in self.pictures):
            lines.append("no person has labelled any of them: edge-inspect label")
        lines += [f"not judged: {n} × {why}" for why, n in self.not_judged.most_common(_REASONS)]
        return lines

    def body(self, version: Version, active: str) -> dict[str, Any]:
        """For `--json`."""
        defects, passed_now, passed = self.wrong("defective", "pass")
        good, failed_now, failed = self.wrong("good", "fail")
        return {
            "schema": SCHEMA,
            "version": version.to_dict(),
            "compared_with": active,
            "judged": len(self.pictures),
            "seconds": round(self.seconds, 1),
            "changes": [
                {"before": before, "after": after, "pictures": len(found)}
                for (before, after), found in self.changes
            ],
            "known_defects": {"pictures": defects, "pass_now": passed_now, "pass": passed},
            "known_good": {"pictures": good, "fail_now": failed_now, "fail": failed},
            "not_judged": dict(self.not_judged),
            "pictures": [
                {
                    "id": one.comparison.id,
                    "camera": one.comparison.camera,
                    "file": escape(str(one.comparison.path)),
                    "truth": one.truth,
                    "before": asdict(one.comparison.before),
                    "after": asdict(one.comparison.after),
                }
                for one in self.pictures
                if one.change is not None
            ],
        }


def judge_own_pictures(config: Config, version: Version, count: int) -> tuple[ModelSheet, str]:
    """Judges the newest `count` kept pictures that a model of this name judges. Returns the sheet,
    and what the candidate was compared with. Raises EdgeInspectError.
    """
    began = time.monotonic()
    store = open_store(config)
    active = store.version_of(store.record(version.name))
    # config.yaml may not name it yet: then it is judged as if model.path did
    configs = configs_judging_by(config, version.name) or {None: config}
    file = store.load(version)
    if active == version:
        active = None
    active_file = None if active is None else store.load(active)
    judges = {recipe: _Judges(one, file, active_file) for recipe, one in configs.items()}
    labels = {one.id: one.label for one in Labels.beside(config.outbox.path).all()}
    sheet = ModelSheet()
    for record in islice(_records(config.archive.path, judges), count):
        try:
            compared = judges[_recipe_of(record)].compare(record)
        except (EdgeInspectError, ValidationError) as error:
            sheet.not_judged[str(error)] += 1
            continue
        truth: Truth | None = None
        if (said := labels.get(record.id)) is not None:
            truth = "good" if said == version.ok_label else "defective"
        sheet.pictures.append(JudgedPicture(compared, truth))
    sheet.seconds = time.monotonic() - began
    compared_with = "the recorded verdicts" if active is None else active.title
    return sheet, compared_with


class _Judges:
    """The candidate and the active version under one configuration."""

    def __init__(self, config: Config, file: ModelFile, active: ModelFile | None) -> None:
        one_thread = config.replace(model=config.model.replace(threads=1))
        self._candidate = _rejudge(one_thread, file)
        self._active = None if active is None else _rejudge(one_thread, active)
        self._active_sha256 = None if active is None else active.sha256

    def compare(self, record: EvidenceRecord) -> Comparison:
        """Raises EdgeInspectError and ValidationError."""
        before = self._before(record)
        after = self._candidate.verdict_on(record)
        return Comparison(record.path(), record.id, record.camera, day_of(record), before, after)

    def _before(self, record: EvidenceRecord) -> PictureVerdict:
        """As it was recorded, unless another version judged then."""
        model = (record.result or {}).get("model") or {}
        if self._active is None or model.get("sha256") == self._active_sha256:
            return recorded_verdict(record)
        return self._active.verdict_on(record)


def _rejudge(config: Config, file: ModelFile) -> Rejudge:
    inspector: Inspector = build_inspector(config, None, file)
    return Rejudge(config, Limits(), inspector, inspector)


def _records(archive: Path, judges: Mapping[int | None, _Judges]) -> Iterator[EvidenceRecord]:
    """The newest first, without `error`: its cause is not in the picture."""
    for record in EvidenceReader(archive).newest_first():
        if record.verdict != "error" and _recipe_of(record) in judges:
            yield record


def _recipe_of(record: EvidenceRecord) -> int | None:
    recipe = (record.result or {}).get("recipe")
    return recipe["number"] if recipe else None


def _remark(after: str, found: list[JudgedPicture]) -> str:
    """Whether somebody must look, and what people have said already."""
    said = Counter(one.truth for one in found if one.truth)
    words = ["look"] if after == "pass" and len(found) > sum(said.values()) else []
    if said:
        words.append("people called " + " and ".join(f"{n:,} {t}" for t, n in sorted(said.items())))
    return f" ({'; '.join(words)})" if words else ""
