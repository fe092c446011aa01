"""Two models on the same test pictures: paired differences with 95 % intervals over groups.

- AUROC: `auroc_gain` (DeLong 1988, by cluster).
- Rates at each model's own thresholds: at each end the wider of two intervals. One is the
  percentile bootstrap over groups (Davison and Hinkley 1997, section 3.8). The other is Wald's
  interval with half a picture added to each of the four cells (Agresti and Min, Statistics in
  Medicine 24, 2005) at the effective number of pictures: the bootstrap has no width where the
  models agree on every picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection import Thresholds, decide
from trainer.core import optional_import
from trainer.evaluation.curves import auroc
from trainer.evaluation.effective_sample_size import effective_sample_size
from trainer.evaluation.intervals import CONFIDENCE, Interval, auroc_gain

RESAMPLES = 2000

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PairedFigure:
    """A figure of both models, and B's less A's with its interval.

    `counts` is (cases of A, cases of B, pictures), None for the AUROC. `better` is 1 where more is
    better, -1 where less is, 0 where neither is.
    """

    name: str
    first: float
    second: float
    difference: float
    interval: Interval
    better: int
    counts: tuple[int, int, int] | None = None

    @property
    def judgement(self) -> str:
        """The conclusion about B that the interval allows."""
        low, high = self.interval
        if not self.better:
            return "fewer" if high < 0 else "more" if low > 0 else "not surely different"
        low, high = (low, high) if self.better > 0 else (-high, -low)
        return "surely better" if low > 0 else "surely worse" if high < 0 else "not surely better"

    def as_json(self) -> dict[str, Any]:
        """For `edge-train compare --json`."""
        found: dict[str, Any] = {
            "a": self.first,
            "b": self.second,
            "difference": self.difference,
            "interval": list(self.interval),
            "judgement": self.judgement,
        }
        if self.counts is not None:
            found |= dict(zip(("a_cases", "b_cases", "pictures"), self.counts))
        return found

    def as_text(self) -> str:
        """One line for a terminal."""
        low, high = self.interval
        name = self.name.replace("_", " ")
        if self.counts is None:
            cells = f"{self.first:>13.3f} {self.second:>13.3f}"
            change = f"{self.difference:+.3f} ({low:+.3f} to {high:+.3f})"
        else:
            a, b, n = self.counts
            cells = f"{f'{a} of {n}':>13} {f'{b} of {n}':>13}"
            change = f"{self.difference:+.1%} ({low:+.1%} to {high:+.1%})"
        return f"{name:<14} {cells}   {change}: {self.judgement}"


def paired_figures(
    scores: tuple[Floats, Floats],
    thresholds: tuple[Thresholds, Thresholds],
    defective: Bools,
    groups: Sequence[str],
) -> tuple[PairedFigure, ...]:
    """AUROC, escapes, false rejects and reviews of two models, A and B.

    `scores` are float64, (n,), P(defective) of the same pictures; `defective` is bool, (n,);
    `groups` names the part of each. Raises DatasetError when either kind is missing.
    """
    areas = auroc(scores[0], defective), auroc(scores[1], defective)
    gain, interval = auroc_gain(scores[1], scores[0], defective, groups)
    outcomes = [
        np.array([decide(float(score), at) for score in values])
        for values, at in zip(scores, thresholds)
    ]
    everything = np.ones(len(defective), np.bool_)
    found = [PairedFigure("auroc", *areas, gain, interval, 1)]
    for name, outcome, kind, better in (
        ("escapes", "pass", defective, -1),
        ("false_rejects", "fail", ~defective, -1),
        ("reviews", "review", everything, 0),
    ):
        cases = [(outcomes[at] == outcome)[kind] for at in (0, 1)]
        names = [group for group, inside in zip(groups, kind) if inside]
        independent = min(effective_sample_size(values[kind], names) for values in scores)
        n = len(names)
        first, second = (int(one.sum()) for one in cases)
        found.append(
            PairedFigure(
                name,
                first / n,
                second / n,
                (second - first) / n,
                difference_interval(cases[0], cases[1], names, independent),
                better,
                (first, second, n),
            )
        )
    return tuple(found)


def difference_interval(
    first: Bools, second: Bools, groups: Sequence[str], independent: float
) -> Interval:
    """The 95 % interval of the share of `second` less that of `first`, over groups.

    Both are bool, (n,), of the same pictures, which count as `independent` ones.
    """
    n = len(first)
    change = second.astype(np.float64) - first.astype(np.float64)
    difference = float(change.mean())
    scale = independent / n
    gained, lost = (scale * int((change == sign).sum()) + 0.5 for sign in (1, -1))
    total = independent + 2
    z = float(optional_import("scipy.stats").norm.ppf((1 + CONFIDENCE) / 2))
    centre = (gained - lost) / total
    half = z * float(np.sqrt(gained + lost - (gained - lost) ** 2 / total)) / total
    ends = [difference, centre - half, centre + half, *_bootstrap(change, groups)]
    return max(-1.0, min(ends)), min(1.0, max(ends))


def _bootstrap(change: Floats, groups: Sequence[str]) -> Interval:
    _names, member = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(member, change), np.bincount(member).astype(np.float64)
    rng = np.random.default_rng(0)  # the same runs give the same interval
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES)
    means = (drawn @ sums) / (drawn @ sizes)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, (tail, 100 - tail))
    return float(low), float(high)
