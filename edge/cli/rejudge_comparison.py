"""What another model or other thresholds would have done with the kept pictures."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge.cli.rejudging import decide_again, judge_again, recorded_thresholds, why_unjudgeable
from edge.config import Config
from edge.core.errors import EdgeInspectError
from edge.core.image import is_picture_name, open_picture
from edge.core.validation import ValidationError
from edge.core.verdict import Outcome
from edge.core.view import ViewConfig
from edge.inspection import Inspector, Judgement, Thresholds, ViewCrop, combine
from edge.pipeline import view_of
from edge.storage import EvidenceReader, EvidenceRecord

_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class PictureVerdict:
    """A verdict on a picture. `score` and `label` are None where nobody recorded them."""

    verdict: Outcome
    label: str | None
    score: float | None

    def __str__(self) -> str:
        return self.verdict if self.label is None else f"{self.verdict} {self.label}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picture, before and after. `id`: of the verdict; None: a picture of another origin."""

    path: Path
    id: str | None
    camera: str | None
    day: str
    before: PictureVerdict
    after: PictureVerdict

    @property
    def flips(self) -> bool:
        """Whether the verdict changes, or the label of a fail."""
        if self.before.verdict != self.after.verdict:
            return True
        return self.before.label is not None and self.before.label != self.after.label


@dataclass(slots=True)
class RejudgeResult:
    """What was judged again.

    - `inferred`: the number of pictures that a model judged again.
    - `not_judged`: reasons, and how many pictures each concerns.
    """

    comparisons: list[Comparison] = field(default_factory=list)
    inferred: int = 0
    not_judged: Counter[str] = field(default_factory=Counter)

    @property
    def flips(self) -> list[Comparison]:
        """Those that change."""
        return [one for one in self.comparisons if one.flips]

    @property
    def same_score(self) -> int:
        """The number of pictures with the same score to the last bit."""
        return sum(one.before.score == one.after.score for one in self.comparisons)

    def flip_counts(self) -> list[tuple[str, str, int]]:
        """Before, after and the number of pictures, the most frequent first."""
        counts = Counter((str(one.before), str(one.after)) for one in self.flips)
        return [(before, after, count) for (before, after), count in counts.most_common()]

    def days(self) -> dict[str, tuple[Counter[str], Counter[str], int]]:
        """By day: the verdicts before, the verdicts after, and the number of flips."""
        found: dict[str, tuple[Counter[str], Counter[str], int]] = {}
        for one in sorted(self.comparisons, key=lambda one: one.day):
            before, after, flips = found.setdefault(one.day, (Counter(), Counter(), 0))
            before[one.before.verdict] += 1
            after[one.after.verdict] += 1
            found[one.day] = before, after, flips + one.flips
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds that the user names; None: as they are."""

    reject_at: float | None = None
    review_from: float | None = None

    @property
    def given(self) -> bool:
        return self.reject_at is not None or self.review_from is not None

    def over(self, at: Thresholds) -> Thresholds:
        """These, and else those of `at`; one that is not named gives way."""
        reject_at = at.reject_at if self.reject_at is None else self.reject_at
        review_from = at.review_from if self.review_from is None else self.review_from
        if self.reject_at is None:
            reject_at = max(reject_at, review_from)
        return Thresholds(reject_at=reject_at, review_from=min(review_from, reject_at))


class Rejudge:
    """Judges pictures as config.yaml would now, or with other thresholds alone."""

    def __init__(
        self, config: Config, limits: Limits, now: Inspector, after: Inspector | None
    ) -> None:
        """Parameters:

        now: the model of config.yaml.
        after: the model that judges again; None: recorded scores are enough where there are any.
        """
        self._config, self._limits = config, limits
        self._now, self._after = now, after
        self._views = {c.id: view_of(c, (after or now).input) for c in config.cameras}

    def run(self, folder: Path, since: float | None) -> RejudgeResult:
        """All evidence in `folder`; without any, all pictures in it and below it."""
        found, reader = RejudgeResult(), EvidenceReader(folder)
        for record in reader.records(since):
            try:
                found.comparisons.append(self._compare(record, found))
            except (EdgeInspectError, ValidationError) as error:
                found.not_judged[_why(error, record)] += 1
        if next(reader.records(), None) is not None:
            return found
        for path in _other_pictures(folder):
            try:
                found.comparisons.append(self._compare_other(path))
                found.inferred += 1
            except EdgeInspectError as error:
                found.not_judged[str(error)] += 1
        return found

    def _compare(self, record: EvidenceRecord, found: RejudgeResult) -> Comparison:
        if record.verdict == "error":
            raise _NotJudgedError("verdicts of error: their cause is not in the picture")
        recorded = why_unjudgeable(record) is None
        before = recorded_verdict(record)
        judgement: Judgement | None = None
        if recorded and self._after is None:
            judgement = decide_again(record, self._limits.over(recorded_thresholds(record)))
        if judgement is None:
            judgement = self._judge(record, recorded=recorded)
            found.inferred += 1
        day = day_of(record)
        after = PictureVerdict(judgement.outcome, judgement.label, judgement.score)
        return Comparison(record.path(), record.id, record.camera, day, before, after)

    def verdict_on(self, record: EvidenceRecord) -> PictureVerdict:
        """The verdict that the model gives now. Raises EdgeInspectError and ValidationError."""
        found = self._judge(record, recorded=why_unjudgeable(record) is None)
        return PictureVerdict(found.outcome, found.label, found.score)

    def _judge(self, record: EvidenceRecord, *, recorded: bool) -> Judgement:
        inspector = self._after or self._now
        view = self._views.get(record.camera)
        if view is None:  # a camera of another time or box
            view = ViewConfig.read(record.view or {})
        at = self._limits.over(inspector.thresholds)
        if recorded and not self._limits.given:
            at = _with_recorded_hysteresis(record, at)
        return judge_again(inspector, record, view, at).judgement

    def _compare_other(self, path: Path) -> Comparison:
        """A picture of another origin: the running model's verdict counts as the one before."""
        picture = open_picture(path)
        opinions = []
        for inspector, limits in ((self._now, Limits()), (self._after or self._now, self._limits)):
            views = {view_of(camera, inspector.input) for camera in self._config.cameras}
            if len(views) > 1:
                raise _NotJudgedError("pictures of no known camera, and the cameras' views differ")
            crop = ViewCrop(views.pop())
            pixels, reduced = inspector.decode(picture, crop)
            regions = crop.cut(pixels, reduced).values()
            judged = [inspector.judge(inspector.prepare(region)) for region in regions]
            worst = max(judged, key=lambda one: one.score)
            at = limits.over(inspector.thresholds)
            opinions.append(_decided(worst, inspector, at))
        day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
        return Comparison(path, None, None, day, opinions[0], opinions[1])


def recorded_verdict(record: EvidenceRecord) -> PictureVerdict:
    """The verdict that the box gave."""
    recorded = why_unjudgeable(record) is None
    score = (record.judged or {})["score"] if recorded else None
    return PictureVerdict(record.verdict, (record.result or {}).get("label"), score)


def day_of(record: EvidenceRecord) -> str:
    """The day of a verdict, UTC."""
    return datetime.fromtimestamp(record.time_ms / 1000, UTC).date().isoformat()


class _NotJudgedError(EdgeInspectError):
    """Many pictures share this reason."""


def _decided(judgement: Judgement, inspector: Inspector, at: Thresholds) -> PictureVerdict:
    found = combine([judgement], "single", None, inspector.ok_label, at)
    return PictureVerdict(found.outcome, found.label, found.score)


def _with_recorded_hysteresis(record: EvidenceRecord, at: Thresholds) -> Thresholds:
    """The recorded thresholds where only hysteresis had lowered them; else those of `at`."""
    recorded = recorded_thresholds(record)
    by = float(((record.result or {}).get("rule") or {}).get("hysteresis") or 0.0)
    if by and abs(recorded.review_from + by - at.review_from) < _NEAR:
        return recorded
    return at


def _why(error: Exception, record: EvidenceRecord) -> str:
    return str(error) if isinstance(error, _NotJudgedError) else f"{record.path()}: {error}"


def _other_pictures(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.rglob("*") if is_picture_name(p) and p.is_file())
