"""Scores as the box computes them: with the daemon's decision code."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.inspection import OutputSpec, to_probabilities


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """Turns an output row of a model into a score."""

    labels: tuple[str, ...]
    ok_label: str
    output: OutputSpec

    def from_rows(self, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """P(defective), float64, (n,), from output rows, (n, labels). Raises ModelError."""
        kind, temperature = self.output.kind, self.output.temperature
        return self.from_probabilities(to_probabilities(rows, kind, temperature))

    def from_probabilities(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(defective) = 1 − P(ok): float64, (n,), from (n, labels)."""
        return np.clip(1.0 - probabilities[:, self.labels.index(self.ok_label)], 0.0, 1.0)
