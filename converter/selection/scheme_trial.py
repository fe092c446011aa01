"""The trial of one scheme: run it in every runtime and compare it with the float model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.evaluation import (
    EvaluationSet,
    GoldenFile,
    LayerDeviation,
    ScoreDiff,
    choose_golden,
    compare_scores,
    golden_files,
    is_flip,
)
from converter.loading import SourceModel
from converter.quantization import BuiltModel
from converter.tflite import Runner
from edge.core.errors import ModelError
from edge.core.image import examine_picture
from edge.core.terms import Kernels
from edge.inspection import GoldenPicture, Thresholds, model_input
from trainer.device_latency import Estimate
from trainer.evaluation import Evaluation, evaluate

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrialFigures:
    """The content of a model file: figures of the test set, and golden pictures.

    `golden_flips`: the golden pictures that one model passes and the other fails.
    """

    converted: Evaluation
    float32: Evaluation
    float_thresholds: Thresholds
    golden: tuple[GoldenPicture, ...]
    golden_files: dict[str, bytes]
    golden_flips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """The result of one runtime.

    - `difference`: the largest score difference to the first runtime, 0 to 1; 1 if it failed.
    - `milliseconds`: the median of an inference on this machine, one thread.
    - `failed`: the reason if it could not run the file, else empty.
    """

    runtime: str
    difference: float
    milliseconds: float
    failed: str = ""


@dataclass(frozen=True, slots=True)
class SchemeTrial:
    """The result of one scheme with one set of kernels.

    - `objections`: of the gates; or the reason why the model could not be built.
    - `built_model`: None when it could not be built.
    - `figures`: None after a trial on few pictures.
    - `estimate`: the latency on the named box; None without a box.
    """

    scheme: str
    objections: tuple[str, ...]
    built_model: BuiltModel | None = None
    thresholds: Thresholds | None = None
    score_diff: ScoreDiff | None = None
    runtime_results: tuple[RuntimeResult, ...] = ()
    layers: tuple[LayerDeviation, ...] = ()
    scores: Scores | None = None
    figures: TrialFigures | None = None
    kernels: Kernels = "quickest"
    estimate: Estimate | None = None

    @property
    def label(self) -> str:
        """The scheme, and the kernels if they are not the default."""
        return self.scheme + ("" if self.kernels == "quickest" else f", {self.kernels}")

    @property
    def runtime_difference(self) -> float | None:
        """The largest score difference between two runtimes, None with one runtime."""
        return max((result.difference for result in self.runtime_results[1:]), default=None)

    @property
    def worst_layer(self) -> LayerDeviation | None:
        """The layer with the largest error."""
        return max(self.layers, key=lambda layer: layer.error, default=None)

    def as_json(self) -> dict[str, Any]:
        """The trial, for inspection.json. No times: they differ from run to run."""
        row: dict[str, Any] = {
            "scheme": self.scheme,
            "kernels": self.kernels,
            "objections": list(self.objections),
        }
        if self.built_model is not None:
            row["bytes"] = len(self.built_model.tflite)
        if self.score_diff is not None:
            row["compared"] = {**self.score_diff.as_json(), "flipped": len(self.score_diff.flips)}
        if self.worst_layer is not None:
            row["worst_layer"] = self.worst_layer.layer
            row["worst_layer_error"] = round(self.worst_layer.error, 6)
        return row


def run_scheme(
    built_model: BuiltModel, evaluation_set: EvaluationSet, runners: Sequence[Runner], name: str
) -> SchemeTrial:
    """Runs the model on `evaluation_set`. The result has no objections yet.

    The first runtime runs validation and test set, the others the test set. Raises ModelError
    when the first runtime cannot run it.
    """
    score_rule, first = evaluation_set.score_rule, runners[0]
    rows, _ = first.rows(built_model.tflite, evaluation_set.validation.pictures, name)
    thresholds = evaluation_set.thresholds(score_rule.from_rows(rows))
    found: list[RuntimeResult] = []
    scores: list[Scores] = []
    for runner in runners:
        try:
            rows, milliseconds = runner.rows(built_model.tflite, evaluation_set.test.pictures, name)
        except ModelError as error:
            if runner is first:
                raise
            found.append(RuntimeResult(runner.name, 1.0, 0.0, str(error).removeprefix(f"{name}: ")))
            continue
        scores.append(score_rule.from_rows(rows))
        difference = float(np.abs(scores[-1] - scores[0]).max())
        found.append(RuntimeResult(runner.name, difference, milliseconds))
    score_diff = compare_scores(
        [sample.file for sample in evaluation_set.test.samples],
        evaluation_set.test.float_scores,
        scores[0],
        evaluation_set.test.defective,
        thresholds,
    )
    return SchemeTrial(
        built_model.scheme, (), built_model, thresholds, score_diff, tuple(found), (), scores[0]
    )


def evaluate_scheme(
    trial: SchemeTrial, source: SourceModel, evaluation_set: EvaluationSet, runner: Runner
) -> TrialFigures:
    """The figures and golden pictures of a trial that ran on all pictures.

    Raises DatasetError when a picture no longer exists.
    """
    assert trial.built_model is not None
    assert trial.thresholds is not None
    assert trial.scores is not None
    test, thresholds = evaluation_set.test, trial.thresholds
    labels = [sample.label for sample in test.samples]
    groups = [sample.group for sample in test.samples]
    ok_label, requirements = source.spec.ok_label, evaluation_set.requirements
    chosen = choose_golden(trial.scores, labels, thresholds)
    files = golden_files([test.samples[place] for place in chosen], source.input)
    pictures = np.stack(
        [
            model_input(examine_picture(file.content, file.name), source.input, pinned=True)
            for file in files
        ]
    )
    before = evaluation_set.score_rule.from_probabilities(source.probabilities(pictures))
    after = evaluation_set.score_rule.from_rows(
        runner.rows(trial.built_model.tflite, pictures, source.file)[0]
    )
    return TrialFigures(
        converted=evaluate(
            trial.scores, labels, groups, thresholds, ok_label, requirements=requirements
        ),
        float32=evaluate(
            test.float_scores, labels, groups, thresholds, ok_label, requirements=requirements
        ),
        float_thresholds=evaluation_set.thresholds(evaluation_set.validation.float_scores),
        golden=_golden_entries(files, after),
        golden_files={file.name: file.content for file in files},
        golden_flips=tuple(
            file.name
            for file, old, new in zip(files, before, after)
            if is_flip(float(old), float(new), thresholds)
        ),
    )


def _golden_entries(files: Sequence[GoldenFile], scores: Scores) -> tuple[GoldenPicture, ...]:
    """The entries in inspection.json, with the scores of the encoded files."""
    return tuple(
        GoldenPicture(file=file.name, label=file.label, score=float(score))
        for file, score in zip(files, scores)
    )
