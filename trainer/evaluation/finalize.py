"""Finalises a trained network: temperature, thresholds, figures of the test set, claims."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge.inspection import Thresholds, to_probabilities
from trainer.core import write_json
from trainer.data import Dataset, Sample
from trainer.evaluation.calibration import fit_temperature
from trainer.evaluation.metrics import Evaluation, evaluate
from trainer.evaluation.requirements import Requirements
from trainer.evaluation.thresholds import NOTHING_PASSES, thresholds_for
from trainer.networks import TrainedSpec

SCORES = "scores.json"
EVALUATION_SCHEMA = "edge-inspect/evaluation/1"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredPicture:
    """One picture and its score, P(defective), 0 to 1.

    `sha256` is of the file: it names the picture in another data set too. Empty for validation
    pictures, and in runs of earlier versions.
    """

    file: str
    label: str
    group: str
    set_name: str
    score: float
    sha256: str = ""

    def as_json(self) -> dict[str, Any]:
        """A row of scores.json."""
        row = {
            "file": self.file,
            "label": self.label,
            "group": self.group,
            "part": self.set_name,
            "score": self.score,
        }
        return row | {"sha256": self.sha256} if self.sha256 else row

    @classmethod
    def from_json(cls, row: Any) -> Self:
        """The inverse of `as_json`. Raises TypeError or ValueError for other values."""
        values = dict(row)
        values["set_name"] = values.pop("part", None)
        return cls(**values)


def finalize(
    run: Path,
    data: Dataset,
    spec: TrainedSpec,
    *,
    validation: Floats,
    test: Floats,
    requirements: Requirements | None = None,
) -> tuple[TrainedSpec, Evaluation]:
    """The spec with temperature, thresholds and figures, and the figures of the test set.

    `validation` and `test` are float64, (n, labels): the network's probabilities for the pictures
    of each set, in order, with the temperature of `spec` (1 in a new one). Temperature and
    thresholds come from validation only. Writes scores.json into `run`. A network that has not
    learned gets thresholds that let no part pass.
    """
    requirements = requirements or Requirements()
    classes = [spec.labels.index(sample.label) for sample in data.of("validation")]
    temperature = fit_temperature(validation, classes)
    ok = spec.labels.index(spec.ok_label)
    held_out, tested = (
        _scores(to_probabilities(predicted, "probabilities", temperature), ok)
        for predicted in (validation, test)
    )
    defective = np.array([sample.label != spec.ok_label for sample in data.of("validation")])
    chosen = thresholds_for(held_out, defective, requirements)
    evaluation = evaluate_test_set(data, tested, chosen, requirements)
    rows = scored_pictures(data.of("validation"), held_out) + [
        replace(row, sha256=hashlib.sha256(sample.path.read_bytes()).hexdigest())
        for row, sample in zip(scored_pictures(data.of("test"), tested), data.of("test"))
    ]
    write_json(run / SCORES, [row.as_json() for row in rows])
    finalized = spec.replace(
        output=spec.output.replace(temperature=round(spec.output.temperature * temperature, 6)),
        thresholds=chosen if evaluation.learned else NOTHING_PASSES,
        metrics=evaluation.as_json(),
        training=spec.training | {"wish": requirements.as_json()},
    )
    return finalized, evaluation


def evaluate_test_set(
    data: Dataset, found: Any, thresholds: Thresholds, requirements: Requirements | None = None
) -> Evaluation:
    """The figures of the test set from its scores, float, (n,), in the order of `of("test")`."""
    test = data.of("test")
    labels, groups = [s.label for s in test], [s.group for s in test]
    return evaluate(found, labels, groups, thresholds, data.ok_label, requirements=requirements)


def scored_pictures(samples: Sequence[Sample], found: Floats) -> list[ScoredPicture]:
    """Samples with their scores, (n,), in the same order."""
    return [
        ScoredPicture(sample.file, sample.label, sample.group, sample.set_name, float(score))
        for sample, score in zip(samples, found)
    ]


def _scores(predicted: Floats, ok: int) -> Floats:
    return np.clip(1.0 - predicted[:, ok], 0.0, 1.0)


def evaluation_file(
    evaluation: Evaluation, name: str, version: str, fingerprint: str
) -> dict[str, Any]:
    """The content of evaluation.json: model, pictures and figures."""
    return {
        "schema": EVALUATION_SCHEMA,
        "model": {"name": name, "version": version},
        "data": {"fingerprint": fingerprint, "part": "test"},
        "test": evaluation.as_json(),
    }
