"""What quantisation changed: the same pictures judged by the float and by the int8 model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection import Thresholds, decide
from trainer.evaluation import auroc

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoreDiff:
    """Float against int8 on one part of the data set, at the thresholds of the model file.

    `flips` names the pictures that went from pass to fail or back, `review_moves` counts moves
    into or out of review. `largest_change` is the largest |score difference|, 0 to 1, and
    `mean_change` the mean.
    """

    pictures: int
    flips: tuple[str, ...]
    review_moves: int
    auroc_float: float
    auroc_int8: float
    largest_change: float
    mean_change: float = 0.0

    @property
    def flip_share(self) -> float:
        """Pass/fail flips as a share of all pictures, 0 to 1."""
        return len(self.flips) / self.pictures

    @property
    def auroc_loss(self) -> float:
        """AUROC of float less that of int8; negative when int8 happens to be better."""
        return self.auroc_float - self.auroc_int8

    def as_json(self) -> dict[str, Any]:
        """The figures as inspection.json keeps them under `quantisation.compared`."""
        return {
            "pictures": self.pictures,
            "pass_fail_flips": len(self.flips),
            "flipped": list(self.flips),
            "review_moves": self.review_moves,
            "auroc_float": round(self.auroc_float, 6),
            "auroc_int8": round(self.auroc_int8, 6),
            "largest_score_change": round(self.largest_change, 6),
            "mean_score_change": round(self.mean_change, 6),
        }


def is_flip(before: float, after: float, at: Thresholds) -> bool:
    """Whether one of two scores of a picture passes and the other fails."""
    return {decide(before, at), decide(after, at)} == {"pass", "fail"}


def compare_scores(
    files: Sequence[str],
    float_scores: Scores,
    int8_scores: Scores,
    defective: NDArray[np.bool_],
    at: Thresholds,
) -> ScoreDiff:
    """Compares the scores, P(defective) 0 to 1, (n,), of the pictures `files`; n at least 1."""
    flips = tuple(
        file
        for file, before, after in zip(files, float_scores, int8_scores)
        if is_flip(float(before), float(after), at)
    )
    reviewed = [
        np.array([decide(float(score), at) == "review" for score in scores])
        for scores in (float_scores, int8_scores)
    ]
    return ScoreDiff(
        pictures=len(files),
        flips=flips,
        review_moves=int((reviewed[0] != reviewed[1]).sum()),
        auroc_float=float(auroc(float_scores, defective)),
        auroc_int8=float(auroc(int8_scores, defective)),
        largest_change=float(np.abs(float_scores - int8_scores).max()),
        mean_change=float(np.abs(float_scores - int8_scores).mean()),
    )
