"""What quantisation changes: float and int8 scores of the same pictures."""

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
    """Float against int8 on one set, at the thresholds of the model file.

    - `flips`: the pictures whose verdict changes between pass and fail.
    - `review_moves`: the number of verdicts that move into or out of review.
    - `largest_change`, `mean_change`: of |score difference|, 0 to 1.
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
        """AUROC of float minus AUROC of int8; negative when int8 is better."""
        return self.auroc_float - self.auroc_int8

    def as_json(self) -> dict[str, Any]:
        """The figures as inspection.json keeps them under `quantisation.score_diff`."""
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


def is_flip(before: float, after: float, thresholds: Thresholds) -> bool:
    """Whether one of the two scores means pass and the other fail."""
    return {decide(before, thresholds), decide(after, thresholds)} == {"pass", "fail"}


def compare_scores(
    files: Sequence[str],
    float_scores: Scores,
    int8_scores: Scores,
    defective: NDArray[np.bool_],
    thresholds: Thresholds,
) -> ScoreDiff:
    """Compares the scores, P(defective) 0 to 1, (n,), of the pictures `files`; n at least 1."""
    flips = tuple(
        file
        for file, before, after in zip(files, float_scores, int8_scores)
        if is_flip(float(before), float(after), thresholds)
    )
    reviewed = [
        np.array([decide(float(score), thresholds) == "review" for score in scores])
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
