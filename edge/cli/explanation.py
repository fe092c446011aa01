"""Compares a kept verdict with its picture judged again, and finds why a score differs."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from edge.cli.rejudging import (
    NewJudgement,
    find_model,
    judge_again,
    recorded_inspector,
    recorded_thresholds,
    why_unjudgeable,
)
from edge.config import Config
from edge.core.errors import EdgeInspectError
from edge.core.installation import judged_on
from edge.core.validation import ValidationError
from edge.core.view import ViewConfig
from edge.inspection import Inspector, Thresholds
from edge.models import model_path, open_store
from edge.pipeline import view_of
from edge.storage import EvidenceRecord

_COMPARED = {  # keys of `judged_on`, and their names for a person
    "machine": "kind of processor",
    "processor": "processor",
    "runtime": "TFLite runtime",
    "runtime_version": "version of the TFLite runtime",
    "opencv": "version of OpenCV",
    "simplejpeg": "version of simplejpeg",
    "numpy": "version of NumPy",
    "edge_inspect": "version of edge-inspect",
}


@dataclass(slots=True)
class Explanation:
    """What became of a verdict.

    - `model`: the file that judged again, with its sha256; None: none did.
    - `again`: the new judgement; None: there is none, and `reasons` say why.
    - `reasons`: differences that may move a score, a sentence each.
    - `notes`: differences of today that were not applied here.
    """

    record: EvidenceRecord
    score: float | None = None
    scores: tuple[float, ...] = ()
    model: Path | None = None
    again: NewJudgement | None = None
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether all scores are equal to the last bit, and the verdict is the same."""
        again = self.again
        return (
            again is not None
            and again.judgement.score == self.score
            and again.scores == self.scores
            and again.judgement.outcome == self.record.verdict
        )


class Explainer:
    """Judges kept pictures again. Loads each model once."""

    def __init__(self, config: Config, root: Path) -> None:
        """`root`: of the file system, to know the processor."""
        self._config, self._root = config, root
        self._inspectors: dict[str, tuple[Path, Inspector]] = {}

    def explain(self, record: EvidenceRecord) -> Explanation:
        """Judges the record's frames again. Raises EdgeInspectError when no model can be loaded."""
        found = Explanation(record)
        judged = record.judged or {}
        found.score, found.scores = judged.get("score"), tuple(judged.get("scores", ()))
        if (why := why_unjudgeable(record)) is not None:
            found.reasons.append(why)
            return found
        path, inspector = self._inspector(record, found)
        found.model = path
        found.reasons += _frame_reasons(record)
        found.reasons += self._platform_reasons(record, inspector)
        try:
            view = ViewConfig.read(record.view or {})
            found.again = judge_again(inspector, record, view, recorded_thresholds(record))
        except (EdgeInspectError, ValidationError) as error:
            found.reasons.append(str(error))
            return found
        self._compare_with_today(record, view, inspector, found)
        if not found.same and not found.reasons:
            found.reasons.append(
                "no reason is known: model, picture, view, processor and libraries are those of "
                "the record; please report it"
            )
        return found

    def _inspector(self, record: EvidenceRecord, found: Explanation) -> tuple[Path, Inspector]:
        """The model of the record, else that of config.yaml with a reason."""
        identity = (record.result or {}).get("model") or {}
        sha256, configured = str(identity.get("sha256")), model_path(self._config)
        path = find_model(sha256, configured, open_store(self._config))
        if path is None:
            path = configured
            found.reasons.append(
                f"the model is gone: neither {configured} nor a file beside it is "
                f"{identity.get('name')} {identity.get('version')} (sha256 {sha256[:12]}…); put it "
                "back there to compare"
            )
        key = f"{path} {record.settings} {record.decoding}"
        if key not in self._inspectors:
            self._inspectors[key] = (
                path,
                recorded_inspector(
                    record, path, self._config.model.interpreter, self._config.model.threads
                ),
            )
        return self._inspectors[key]

    def _platform_reasons(self, record: EvidenceRecord, inspector: Inspector) -> list[str]:
        then, now = record.judged_on, judged_on(self._root, inspector.runtime)
        return [
            f"another {name}: {then.get(key)} then, {now.get(key)} now"
            for key, name in _COMPARED.items()
            if then.get(key) != now.get(key)
        ]

    def _compare_with_today(
        self, record: EvidenceRecord, view: ViewConfig, inspector: Inspector, found: Explanation
    ) -> None:
        """Notes what config.yaml would do today. With the hash of the record it must be the same:
        else the record was edited."""
        camera = next((c for c in self._config.cameras if c.id == record.camera), None)
        if camera is None:
            found.notes.append(f"config.yaml has no camera {record.camera} now")
            return
        today = view_of(camera, inspector.file.spec.input if inspector.file.spec else None)
        if today == view:
            return
        if (record.result or {}).get("config") == self._config.hash:
            found.reasons.append(
                "the view in the record is not that of the configuration that it names "
                f"({self._config.hash}): the record was edited"
            )
        try:
            other = judge_again(inspector, record, today, recorded_thresholds(record))
            score = f"its score would be {other.judgement.score!r}"
        except EdgeInspectError as error:
            score = f"it cannot be judged ({error})"
        found.notes.append(
            f"the view of camera {record.camera} was edited since: with that of config.yaml {score}"
        )


def _frame_reasons(record: EvidenceRecord) -> list[str]:
    found = []
    wanted = len((record.judged or {}).get("scores", ()))
    if len(record.frames) < wanted:
        found.append(f"only {len(record.frames)} of {wanted} judged frames were kept")
    for number, frame in enumerate(record.frames):
        if frame.encoding == "jpeg-90":
            found.append(
                f"{frame.file} is lossy (archive.lossless: false): its pixels are not those judged"
            )
        try:
            changed = bool(frame.sha256) and (
                hashlib.sha256(record.read(number)).hexdigest() != frame.sha256
            )
        except OSError:
            continue  # judging it reports the error
        if changed:
            found.append(f"{frame.file} was changed after it was kept (another sha256)")
    return found


def thresholds_text(at: Thresholds) -> str:
    """For people."""
    return f"reject_at {at.reject_at:g}, review_from {at.review_from:g}"
