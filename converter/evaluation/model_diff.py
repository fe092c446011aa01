"""Two models on the same pictures: which ones do they judge differently, each by its own lines?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.evaluation.contact_sheet import Tile, contact_sheet
from converter.packaging import check_writable, write_atomically
from edge.core.errors import DatasetError, ModelError
from edge.core.verdict import Outcome
from edge.inspection import InputSpec, Thresholds, decide, load_inspector
from trainer.data import Dataset, Sample, batches_of, load_recorded
from trainer.evaluation import auroc
from trainer.networks import load_trained, scores

Scores = NDArray[np.float64]
MOST = 60  # pictures on a contact sheet


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model of ours that can judge: `score` gives P(defective), (n,), of its own pictures."""

    name: str
    input: InputSpec
    labels: tuple[str, ...]
    ok_label: str
    thresholds: Thresholds
    data: dict[str, object]
    score: Callable[[NDArray[np.uint8]], Scores]


@dataclass(frozen=True, slots=True)
class PictureDiff:
    """One picture with what both said of it: score, 0 to 1, and verdict."""

    sample: Sample
    scores: tuple[float, float]
    outcomes: tuple[Outcome, Outcome]

    @property
    def flips(self) -> bool:
        """Whether one passes what the other fails."""
        return set(self.outcomes) == {"pass", "fail"}


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """What two models did on the test set. `differing` has flips first, then by score change."""

    names: tuple[str, str]
    pictures: int
    aurocs: tuple[float, float]
    differing: tuple[PictureDiff, ...]
    largest_change: float
    sheet: Path | None


def diff_models(first: Path, second: Path, root: Path, sheet: Path | None = None) -> ModelDiff:
    """Judges the test set of `root` by both, and draws a contact sheet if one is asked for.

    Raises ModelError and DatasetError for models and data that do not fit each other.
    """
    if sheet is not None:
        if sheet.suffix != ".png":
            raise ModelError(f"{sheet}: a contact sheet ends in .png; give --sheet NAME.png")
        check_writable(sheet, "--sheet")
    judges = (_judge(first), _judge(second))
    if set(judges[0].labels) != set(judges[1].labels) or judges[0].ok_label != judges[1].ok_label:
        text = [f"{j.name} has {', '.join(j.labels)} (good: {j.ok_label})" for j in judges]
        raise ModelError(f"{'; '.join(text)}: only models of the same classes can be compared")
    dataset = _load(root, judges[0])
    test = dataset.of("test")
    found = [
        np.concatenate([judge.score(batch) for batch in batches_of(test, judge.input)])
        for judge in judges
    ]
    defective = np.array([sample.label != judges[0].ok_label for sample in test])
    differing = _differing(test, (found[0], found[1]), judges)
    result = ModelDiff(
        names=(judges[0].name, judges[1].name),
        pictures=len(test),
        aurocs=(float(auroc(found[0], defective)), float(auroc(found[1], defective))),
        differing=differing,
        largest_change=float(np.abs(found[0] - found[1]).max()),
        sheet=sheet if differing else None,
    )
    if sheet is not None and differing:
        write_atomically(sheet, contact_sheet([_tile(each) for each in differing[:MOST]]))
    return result


def _differing(
    samples: tuple[Sample, ...],
    scored: tuple[Scores, Scores],
    judges: tuple[ComparedModel, ComparedModel],
) -> tuple[PictureDiff, ...]:
    found = []
    for at, sample in enumerate(samples):
        both = float(scored[0][at]), float(scored[1][at])
        outcomes = decide(both[0], judges[0].thresholds), decide(both[1], judges[1].thresholds)
        if outcomes[0] != outcomes[1]:
            found.append(PictureDiff(sample, both, outcomes))
    return tuple(sorted(found, key=lambda d: (not d.flips, -abs(d.scores[0] - d.scores[1]))))


def _tile(each: PictureDiff) -> Tile:
    answers = [f"{out} {score:.3f}" for out, score in zip(each.outcomes, each.scores)]
    return Tile(
        each.sample.path, (each.sample.label, f"A {answers[0]}", f"B {answers[1]}"), each.flips
    )


def _load(root: Path, judge: ComparedModel) -> Dataset:
    dataset = load_recorded(root, judge.ok_label, judge.data)
    if set(dataset.labels) != set(judge.labels):
        raise DatasetError(
            f"{root}: has the classes {', '.join(dataset.labels)}, {judge.name} has "
            f"{', '.join(judge.labels)}; give the data set that they were trained on"
        )
    return dataset


def _judge(path: Path) -> ComparedModel:
    if path.suffix == ".keras":
        return _keras_judge(path)
    inspector = load_inspector(path)
    spec = inspector.file.spec
    if spec is None:
        raise ModelError(
            f"{path}: a plain .tflite without preprocessing and thresholds; give a file "
            "that edge-convert made"
        )

    def score(pictures: NDArray[np.uint8]) -> Scores:
        return np.array([inspector.judge(picture).score for picture in pictures])

    return ComparedModel(
        str(path),
        inspector.input,
        inspector.labels,
        inspector.ok_label,
        inspector.thresholds,
        spec.data,
        score,
    )


def _keras_judge(path: Path) -> ComparedModel:
    model, spec = load_trained(path)
    if spec is None:
        raise ModelError(
            f"{path}: does not say its labels and thresholds, because edge-train did not make it; "
            "convert it and compare the .tflite"
        )

    def score(pictures: NDArray[np.uint8]) -> Scores:
        return scores(model, spec, pictures)

    return ComparedModel(
        str(path), spec.input, spec.labels, spec.ok_label, spec.thresholds, spec.data, score
    )
