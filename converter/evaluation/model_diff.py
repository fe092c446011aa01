"""Compares two models on one test set: the pictures that get different verdicts."""

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
MAX_TILES = 60  # pictures on a contact sheet


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model with its thresholds. `score` gives P(defective), (n,), for preprocessed pictures."""

    name: str
    input: InputSpec
    labels: tuple[str, ...]
    ok_label: str
    thresholds: Thresholds
    data: dict[str, object]
    score: Callable[[NDArray[np.uint8]], Scores]


@dataclass(frozen=True, slots=True)
class PictureDiff:
    """One picture with the score, 0 to 1, and the verdict of both models."""

    sample: Sample
    scores: tuple[float, float]
    outcomes: tuple[Outcome, Outcome]

    @property
    def flips(self) -> bool:
        """Whether one model passes the picture and the other fails it."""
        return set(self.outcomes) == {"pass", "fail"}


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """The comparison. `differing` is sorted: flips first, then by score change."""

    names: tuple[str, str]
    pictures: int
    aurocs: tuple[float, float]
    differing: tuple[PictureDiff, ...]
    largest_change: float
    sheet: Path | None


def diff_models(first: Path, second: Path, root: Path, sheet: Path | None = None) -> ModelDiff:
    """Runs both models on the test set of `root`. Writes a contact sheet to `sheet`.

    Raises ModelError and DatasetError when models and data do not fit each other.
    """
    if sheet is not None:
        if sheet.suffix != ".png":
            raise ModelError(f"{sheet}: a contact sheet ends in .png; give --sheet NAME.png")
        check_writable(sheet, "--sheet")
    models = (_load_compared(first), _load_compared(second))
    if set(models[0].labels) != set(models[1].labels) or models[0].ok_label != models[1].ok_label:
        text = [f"{j.name} has {', '.join(j.labels)} (good: {j.ok_label})" for j in models]
        raise ModelError(f"{'; '.join(text)}: only models of the same classes can be compared")
    dataset = _load_dataset(root, models[0])
    test = dataset.of("test")
    found = [
        np.concatenate([compared.score(batch) for batch in batches_of(test, compared.input)])
        for compared in models
    ]
    defective = np.array([sample.label != models[0].ok_label for sample in test])
    differing = _differing(test, (found[0], found[1]), models)
    result = ModelDiff(
        names=(models[0].name, models[1].name),
        pictures=len(test),
        aurocs=(float(auroc(found[0], defective)), float(auroc(found[1], defective))),
        differing=differing,
        largest_change=float(np.abs(found[0] - found[1]).max()),
        sheet=sheet if differing else None,
    )
    if sheet is not None and differing:
        write_atomically(sheet, contact_sheet([_tile(each) for each in differing[:MAX_TILES]]))
    return result


def _differing(
    samples: tuple[Sample, ...],
    scored: tuple[Scores, Scores],
    models: tuple[ComparedModel, ComparedModel],
) -> tuple[PictureDiff, ...]:
    found = []
    for at, sample in enumerate(samples):
        both = float(scored[0][at]), float(scored[1][at])
        outcomes = decide(both[0], models[0].thresholds), decide(both[1], models[1].thresholds)
        if outcomes[0] != outcomes[1]:
            found.append(PictureDiff(sample, both, outcomes))
    return tuple(sorted(found, key=lambda d: (not d.flips, -abs(d.scores[0] - d.scores[1]))))


def _tile(each: PictureDiff) -> Tile:
    answers = [f"{out} {score:.3f}" for out, score in zip(each.outcomes, each.scores)]
    return Tile(
        each.sample.path, (each.sample.label, f"A {answers[0]}", f"B {answers[1]}"), each.flips
    )


def _load_dataset(root: Path, compared: ComparedModel) -> Dataset:
    dataset = load_recorded(root, compared.ok_label, compared.data)
    if set(dataset.labels) != set(compared.labels):
        raise DatasetError(
            f"{root}: has the classes {', '.join(dataset.labels)}, {compared.name} has "
            f"{', '.join(compared.labels)}; give the data set of their training"
        )
    return dataset


def _load_compared(path: Path) -> ComparedModel:
    if path.suffix == ".keras":
        return _load_keras(path)
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


def _load_keras(path: Path) -> ComparedModel:
    model, spec = load_trained(path)
    if spec is None:
        raise ModelError(
            f"{path}: has no labels and thresholds, because edge-train did not make it; convert "
            "it and compare the .tflite"
        )

    def score(pictures: NDArray[np.uint8]) -> Scores:
        return scores(model, spec, pictures)

    return ComparedModel(
        str(path), spec.input, spec.labels, spec.ok_label, spec.thresholds, spec.data, score
    )
