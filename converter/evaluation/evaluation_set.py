"""The pictures that a conversion is judged on, and what the float model says of them."""

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

QUICK_LOOK_PICTURES = 100  # pictures of a part, to look at a scheme that will not be taken
HEAD_FIT_PICTURES = 1000  # train pictures that a head is fitted on


@dataclass(frozen=True, slots=True)
class ScoredSet:
    """Pictures of one part, uint8, (n, height, width, channels), and the float scores of them.

    The pictures are in a file without a name, and only those in use in memory.
    """

    samples: tuple[Sample, ...]
    pictures: NDArray[np.uint8]
    float_scores: Scores
    defective: NDArray[np.bool_]

    def subset(self, most: int) -> "ScoredSet":
        """At most so many of them, each class as often; the same ones every time."""
        chosen = set(choose_calibration(self.samples, most))
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
        """Chosen on scores, (n,), of the validation set."""
        return thresholds_for(scores, self.validation.defective, self.requirements)

    def subset(self, most: int = QUICK_LOOK_PICTURES) -> "EvaluationSet":
        """The same with few pictures of each part."""
        return EvaluationSet(
            self.score_rule, self.validation.subset(most), self.test.subset(most), self.requirements
        )


def load_evaluation_set(source: SourceModel, dataset: Dataset, progress: Progress) -> EvaluationSet:
    """Reads the pictures of validation and test and asks the float model for all of them.

    Raises DatasetError for pictures that cannot be read, and EdgeInspectError when there is no
    room for them in the folder for temporary files.
    """
    spec = source.spec
    score_rule = ScoreRule(spec.labels, spec.ok_label, source.converted_output)

    def scored_set(set_name: str, samples: Sequence[Sample]) -> ScoredSet:
        def reading(done: int, total: int) -> None:
            progress(f"reading the {set_name} part", done, total)

        with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
            # The name goes at once; the file stays for as long as the pictures are asked for.
            pictures = map_pictures(samples, source.input, Path(folder) / set_name, reading)
        answers = source.probabilities(
            pictures, lambda done, total: progress(f"float model, {set_name}", done, total)
        )
        return ScoredSet(
            tuple(samples),
            pictures,
            score_rule.of_probabilities(answers),
            np.array([sample.label != spec.ok_label for sample in samples]),
        )

    return EvaluationSet(
        score_rule,
        scored_set("validation", dataset.of("validation")),
        scored_set("test", dataset.of("test")),
        Requirements.from_json(spec.training.get("wish")),
    )
