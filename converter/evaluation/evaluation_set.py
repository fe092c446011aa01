"""The pictures that evaluate a conversion, with the float model's scores."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.evaluation.box_scores import ScoreRule
from converter.loading import SourceModel
from converter.quantization import choose_calibration
from edge.inspection import Thresholds
from trainer.data import Dataset, Sample, map_pictures
from trainer.evaluation import Requirements, thresholds_for

Scores = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

QUICK_LOOK_PICTURES = 100  # of each set, for a scheme that will not be chosen
HEAD_FIT_PICTURES = 1000  # training pictures for the fit of a head


@dataclass(frozen=True, slots=True)
class ScoredSet:
    """The pictures of one set, uint8, (n, height, width, channels), and their float scores.

    The pictures are mapped from an unlinked file: only pages in use are in memory.
    """

    samples: tuple[Sample, ...]
    pictures: NDArray[np.uint8]
    float_scores: Scores
    defective: NDArray[np.bool_]

    def subset(self, count: int) -> "ScoredSet":
        """At most `count` pictures, equally many of each class. The choice is always the same."""
        chosen = set(choose_calibration(self.samples, count))
        at = np.array([sample in chosen for sample in self.samples])
        return ScoredSet(
            tuple(sample for sample in self.samples if sample in chosen),
            self.pictures[at],
            self.float_scores[at],
            self.defective[at],
        )


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Thresholds are chosen on `validation`, everything else is measured on `test`."""

    score_rule: ScoreRule
    validation: ScoredSet
    test: ScoredSet
    requirements: Requirements

    def thresholds(self, scores: Scores) -> Thresholds:
        """The thresholds for the scores, (n,), of the validation set."""
        return thresholds_for(scores, self.validation.defective, self.requirements)

    def subset(self, count: int = QUICK_LOOK_PICTURES) -> "EvaluationSet":
        """The same with at most `count` pictures of each set."""
        return EvaluationSet(
            self.score_rule,
            self.validation.subset(count),
            self.test.subset(count),
            self.requirements,
        )


def load_evaluation_set(source: SourceModel, dataset: Dataset, progress: Progress) -> EvaluationSet:
    """Reads the validation and test pictures and runs the float model on them.

    Raises DatasetError for a picture that cannot be read, and EdgeInspectError when the folder
    for temporary files is full.
    """
    spec = source.spec
    score_rule = ScoreRule(spec.labels, spec.ok_label, source.converted_output)

    def scored_set(set_name: str, samples: Sequence[Sample]) -> ScoredSet:
        def reading(done: int, total: int) -> None:
            progress(f"reading the {set_name} set", done, total)

        with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
            # The folder goes at once; the mapped file lives as long as the array.
            pictures = map_pictures(samples, source.input, Path(folder) / set_name, reading)
        probabilities = source.probabilities(
            pictures, lambda done, total: progress(f"float model, {set_name}", done, total)
        )
        return ScoredSet(
            tuple(samples),
            pictures,
            score_rule.from_probabilities(probabilities),
            np.array([sample.label != spec.ok_label for sample in samples]),
        )

    return EvaluationSet(
        score_rule,
        scored_set("validation", dataset.of("validation")),
        scored_set("test", dataset.of("test")),
        Requirements.from_json(spec.training.get("wish")),
    )
