"""One scheme tried: made, run by every runtime, compared with the float model, judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.evaluation.evaluation_set import Exam
from converter.evaluation.golden_images import GoldenFile, choose_golden, golden_files
from converter.evaluation.layer_errors import LayerError
from converter.evaluation.score_diff import Comparison, compare, flipped
from converter.loading.source_model import Source
from converter.quantization.quantization_schemes import Made
from converter.tflite.runtimes import Runner
from edge.errors import ModelError
from edge.inspection.decision import Thresholds
from edge.inspection.modelfile import GoldenPicture
from edge.inspection.preprocess import preprocess
from edge.picture import decode_picture
from edge.terms import Kernels
from trainer.device_latency.estimate import Estimate
from trainer.evaluation.metrics import Evaluation, evaluate

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the file would carry: figures of the test part, and the golden pictures.

    `golden_flips` names golden pictures on which float and converted model say pass and fail.
    """

    converted: Evaluation
    float32: Evaluation
    float_thresholds: Thresholds
    golden: tuple[GoldenPicture, ...]
    golden_files: dict[str, bytes]
    golden_flips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """A runtime that was asked, and its largest score difference to the first one, 0 to 1.

    `milliseconds` is the median of an inference on this machine, one thread. `failed` says why it
    could not run the file, and is empty where it could; the difference is 1 then.
    """

    runtime: str
    difference: float
    milliseconds: float
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found out about one scheme, run with one sort of kernels.

    `made` is None where it could not be made, and `objections` say why then; else they are the
    gate's. `verdicts` is None for one that was only looked at, on few pictures. `said` is what it
    takes on the box that was named, None where none was.
    """

    scheme: str
    objections: tuple[str, ...]
    made: Made | None = None
    thresholds: Thresholds | None = None
    compared: Comparison | None = None
    ran: tuple[Ran, ...] = ()
    layers: tuple[LayerError, ...] = ()
    scores: Scores | None = None
    verdicts: Verdicts | None = None
    kernels: Kernels = "quickest"
    said: Estimate | None = None

    @property
    def label(self) -> str:
        """The scheme, and the kernels where they are not the usual ones."""
        return self.scheme + ("" if self.kernels == "quickest" else f", {self.kernels}")

    @property
    def runtime_difference(self) -> float | None:
        """The largest score difference between two runtimes, None when only one was asked."""
        return max(ran.difference for ran in self.ran[1:]) if len(self.ran) > 1 else None

    @property
    def worst_layer(self) -> LayerError | None:
        """The layer that is farthest off."""
        return max(self.layers, key=lambda layer: layer.error, default=None)

    def as_json(self) -> dict[str, Any]:
        """A row of the schemes' table, for inspection.json; no times, they differ from run to
        run."""
        row: dict[str, Any] = {
            "scheme": self.scheme,
            "kernels": self.kernels,
            "objections": list(self.objections),
        }
        if self.made is not None:
            row["bytes"] = len(self.made.tflite)
        if self.compared is not None:
            row["compared"] = {**self.compared.as_json(), "flipped": len(self.compared.flips)}
        if self.worst_layer is not None:
            row["worst_layer"] = self.worst_layer.layer
            row["worst_layer_error"] = round(self.worst_layer.error, 6)
        return row


def run(made: Made, exam: Exam, runners: Sequence[Runner], name: str) -> Trial:
    """Runs it on the pictures of `exam`; nothing is objected to yet.

    The first runtime judges validation and test, the others the test part. Raises ModelError when
    the first one cannot run it.
    """
    recipe, first = exam.recipe, runners[0]
    rows, _ = first.rows(made.tflite, exam.validation.pictures, name)
    thresholds = exam.thresholds(recipe.of_rows(rows))
    found: list[Ran] = []
    scores: list[Scores] = []
    for runner in runners:
        try:
            rows, milliseconds = runner.rows(made.tflite, exam.test.pictures, name)
        except ModelError as error:
            if runner is first:
                raise
            found.append(Ran(runner.name, 1.0, 0.0, str(error).removeprefix(f"{name}: ")))
            continue
        scores.append(recipe.of_rows(rows))
        difference = float(np.abs(scores[-1] - scores[0]).max())
        found.append(Ran(runner.name, difference, milliseconds))
    compared = compare(
        [sample.file for sample in exam.test.samples],
        exam.test.float_scores,
        scores[0],
        exam.test.defective,
        thresholds,
    )
    return Trial(made.scheme, (), made, thresholds, compared, tuple(found), (), scores[0])


def judge(trial: Trial, source: Source, exam: Exam, runner: Runner) -> Verdicts:
    """The figures and golden pictures of a trial that ran on all pictures of `exam`.

    Raises DatasetError when a picture has gone since it was read.
    """
    assert trial.made is not None
    assert trial.thresholds is not None
    assert trial.scores is not None
    test, at = exam.test, trial.thresholds
    labels = [sample.label for sample in test.samples]
    groups = [sample.group for sample in test.samples]
    ok_label, wish = source.spec.ok_label, exam.wish
    chosen = choose_golden(trial.scores, labels, at)
    files = golden_files([test.samples[place] for place in chosen], source.input)
    pictures = np.stack(
        [
            preprocess(decode_picture(file.content, file.name), source.input, pinned=True)
            for file in files
        ]
    )
    before = exam.recipe.of_probabilities(source.probabilities(pictures))
    after = exam.recipe.of_rows(runner.rows(trial.made.tflite, pictures, source.file)[0])
    return Verdicts(
        converted=evaluate(trial.scores, labels, groups, at, ok_label, wish=wish),
        float32=evaluate(test.float_scores, labels, groups, at, ok_label, wish=wish),
        float_thresholds=exam.thresholds(exam.validation.float_scores),
        golden=_entries(files, after),
        golden_files={file.name: file.content for file in files},
        golden_flips=tuple(
            file.name
            for file, old, new in zip(files, before, after)
            if flipped(float(old), float(new), at)
        ),
    )


def _entries(files: Sequence[GoldenFile], scores: Scores) -> tuple[GoldenPicture, ...]:
    """The entries, with the scores of the files as they travel."""
    return tuple(
        GoldenPicture(file=file.name, label=file.label, score=float(score))
        for file, score in zip(files, scores)
    )
