"""The pictures that a conversion is judged on, and what the float model says of them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.evaluation.box_scores import Recipe
from converter.loading.source_model import Source
from converter.quantization.calibration import choose_calibration
from edge.inspection.decision import Thresholds
from trainer.data.dataset import Dataset, Sample
from trainer.data.pictures import map_pictures
from trainer.evaluation.requirements import Wish
from trainer.evaluation.thresholds import thresholds_for

Scores = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

FEW = 100  # pictures of a part, to look at a scheme that will not be taken
LEARNING = 1000  # train pictures that a head is fitted on


@dataclass(frozen=True, slots=True)
class Judged:
    """Pictures of one part, uint8, (n, height, width, channels), and the float scores of them.

    The pictures are in a file without a name, and only those in use in memory.
    """

    samples: tuple[Sample, ...]
    pictures: NDArray[np.uint8]
    float_scores: Scores
    defective: NDArray[np.bool_]

    def few(self, most: int) -> "Judged":
        """At most so many of them, each class as often; the same ones every time."""
        chosen = set(choose_calibration(self.samples, most))
        at = np.array([sample in chosen for sample in self.samples])
        return Judged(
            tuple(sample for sample in self.samples if sample in chosen),
            self.pictures[at],
            self.float_scores[at],
            self.defective[at],
        )


@dataclass(frozen=True, slots=True)
class Exam:
    """Thresholds are chosen on `validation`, everything else is measured on `test`."""

    recipe: Recipe
    validation: Judged
    test: Judged
    wish: Wish

    def thresholds(self, scores: Scores) -> Thresholds:
        """Chosen on scores, (n,), of the validation part."""
        return thresholds_for(scores, self.validation.defective, self.wish)

    def few(self, most: int = FEW) -> "Exam":
        """The same with few pictures of each part."""
        return Exam(self.recipe, self.validation.few(most), self.test.few(most), self.wish)


def set_exam(source: Source, dataset: Dataset, progress: Progress) -> Exam:
    """Reads the pictures of validation and test and asks the float model for all of them.

    Raises DatasetError for pictures that cannot be read, and EdgeInspectError when there is no
    room for them in the folder for temporary files.
    """
    spec = source.spec
    recipe = Recipe(spec.labels, spec.ok_label, source.converted_output)

    def judged(part: str, samples: Sequence[Sample]) -> Judged:
        def reading(done: int, total: int) -> None:
            progress(f"reading the {part} part", done, total)

        with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
            # The name goes at once; the file stays for as long as the pictures are asked for.
            pictures = map_pictures(samples, source.input, Path(folder) / part, reading)
        said = source.probabilities(
            pictures, lambda done, total: progress(f"float model, {part}", done, total)
        )
        return Judged(
            tuple(samples),
            pictures,
            recipe.of_probabilities(said),
            np.array([sample.label != spec.ok_label for sample in samples]),
        )

    return Exam(
        recipe,
        judged("validation", dataset.of("validation")),
        judged("test", dataset.of("test")),
        Wish.from_json(spec.training.get("wish")),
    )
