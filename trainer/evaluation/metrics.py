"""The evaluation of a model: figures of the test set, and the claims they support."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.inspection import Thresholds, decide
from trainer.evaluation.calibration import Reliability, reliability
from trainer.evaluation.claims import Claims, make_claims
from trainer.evaluation.curves import auroc, average_precision, false_rejects_at
from trainer.evaluation.effective_sample_size import effective_sample_size
from trainer.evaluation.intervals import (
    Interval,
    auroc_interval,
    average_precision_interval,
    binomial_interval,
)
from trainer.evaluation.rates import Rate, rate_of
from trainer.evaluation.requirements import Requirements

__all__ = [
    "Evaluation",
    "Rate",
    "auroc",
    "auroc_interval",
    "average_precision",
    "binomial_interval",
    "evaluate",
]

OUTCOMES = ("pass", "review", "fail")
AUROC_OF_CHANCE = 0.5
RECALLS = (0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a model on labelled pictures.

    - `n_groups`: the number of parts that the pictures show.
    - `escapes`: defects that pass, of all defects.
    - `false_rejects`: good parts that fail, of all good parts.
    - `reviews`: pictures for review, of all pictures.
    - `at_recall`: the share of good parts that fail where the line catches 95 % and 99 % of the
      defects of these pictures; it compares networks and promises nothing.
    - `by_class`: the escapes of each defect class.
    - `confusion`: by true label, then by outcome.
    """

    n_ok: int
    n_defect: int
    n_groups: int
    auroc: float
    auroc_interval: Interval
    average_precision: float
    average_precision_interval: Interval
    thresholds: Thresholds
    escapes: Rate
    false_rejects: Rate
    reviews: Rate
    at_recall: dict[float, float]
    by_class: dict[str, Rate]
    confusion: dict[str, dict[str, int]]
    calibration: Reliability
    claims: Claims

    @property
    def learned(self) -> bool:
        """Whether the model separates good from defective better than chance, at 95 %.

        Accuracy cannot show that: where 5 % are defective, "always good" is 95 % accurate.
        """
        return self.auroc_interval[0] > AUROC_OF_CHANCE

    def refusals(self) -> list[str]:
        """The reasons why this model must not judge parts; empty when it may."""
        if not self.learned:
            low, high = self.auroc_interval
            reason = (
                f"not learned: on the test set its AUROC is {self.auroc:.3f}, 95 % interval "
                f"{low:.3f} to {high:.3f}, and 0.5 is guessing; no threshold is given; check the "
                "labels (edge-train audit), or add pictures of more parts, of defects above all"
            )
            return [reason]
        return self.claims.refusals()

    def as_json(self) -> dict[str, Any]:
        """For evaluation.json and `metrics` in inspection.json; rates and intervals are 0 to 1.

        Figures at thresholds mean nothing for a model that has not learned, and are left out.
        """
        ranking = {
            "n_ok": self.n_ok,
            "n_defect": self.n_defect,
            "n_groups": self.n_groups,
            "learned": self.learned,
            "auroc": self.auroc,
            "auroc_interval": list(self.auroc_interval),
            "average_precision": self.average_precision,
            "average_precision_interval": list(self.average_precision_interval),
        }
        if not self.learned:
            return ranking
        return ranking | {
            "thresholds": self.thresholds.to_dict(),
            "escapes": self.escapes.as_json(),
            "false_rejects": self.false_rejects.as_json(),
            "reviews": self.reviews.as_json(),
            "false_rejects_at_recall": {str(at): share for at, share in self.at_recall.items()},
            "by_class": {name: rate.as_json() for name, rate in self.by_class.items()},
            "confusion": self.confusion,
            "calibration": self.calibration.as_json(),
            "claims": self.claims.as_json(),
        }

    def as_text(self) -> str:
        """The figures as a table for a terminal."""
        counts = f"{self.n_ok} good, {self.n_defect} defective, of {self.n_groups} groups"
        guessing = self.n_defect / (self.n_ok + self.n_defect)
        precise = _spread(self.average_precision, self.average_precision_interval, guessing)
        lines = [
            f"pictures       {counts}",
            f"AUROC           {_spread(self.auroc, self.auroc_interval, 0.5)}",
            f"avg. precision  {precise}",
        ]
        if not self.learned:
            return "\n".join([*lines, "NOT LEARNED    the interval of the AUROC touches 0.5"])
        at = self.thresholds
        lines += [
            self.escapes.as_text("escapes", "defects that pass"),
            self.false_rejects.as_text("false rejects", "good parts that fail"),
            self.reviews.as_text("for review", "parts a person must look at"),
            f"to compare     {_compared(self.at_recall)}",
            f"thresholds     fail from score {at.reject_at:.4f}, review from {at.review_from:.4f}",
            f"to claim       {self.claims.escape.as_text()}",
            f"               {self.claims.false_reject.as_text()}",
            f"calibration    scores are off by {self.calibration.error:.1%} on average",
        ]
        if self.claims.allow_unshown:
            lines += [f"NOT SHOWN      {reason}" for reason in self.claims.unshown()]
        width = max(len("truly"), *map(len, self.confusion))
        lines += ["", f"{'truly':<{width}}  " + "".join(f"{name:>8}" for name in OUTCOMES)]
        for label, row in self.confusion.items():
            lines.append(f"{label:<{width}}  " + "".join(f"{row[name]:>8}" for name in OUTCOMES))
        return "\n".join(lines)


def evaluate(
    scores: ArrayLike,
    labels: Sequence[str],
    groups: Sequence[str],
    thresholds: Thresholds,
    ok_label: str,
    *,
    requirements: Requirements | None = None,
) -> Evaluation:
    """Decides on the scores as the daemon does and compares the outcomes with the labels.

    `scores` is float, (n,), P(defective), 0 to 1. `labels` and `groups` are the true class and
    the part of each picture. The claims compare the rates with `requirements`. Raises
    DatasetError when good or defective pictures are missing.
    """
    values, parts = np.asarray(scores, np.float64), np.asarray(groups)
    truth = np.asarray(labels)
    defective = truth != ok_label
    area = auroc(values, defective)
    outcomes = [decide(float(score), thresholds) for score in values]
    names = [ok_label, *sorted(set(labels) - {ok_label})]
    confusion = {name: dict.fromkeys(OUTCOMES, 0) for name in names}
    for label, outcome in zip(labels, outcomes):
        confusion[label][outcome] += 1

    def rate(k: int, kind: NDArray[np.bool_]) -> Rate:
        return rate_of(k, int(kind.sum()), effective_sample_size(values[kind], list(parts[kind])))

    by_class = {name: rate(confusion[name]["pass"], truth == name) for name in names[1:]}
    escapes = rate(sum(one.k for one in by_class.values()), defective)
    false_rejects = rate(confusion[ok_label]["fail"], ~defective)
    reviewed = sum(row["review"] for row in confusion.values())
    independent = escapes.independent + false_rejects.independent
    return Evaluation(
        n_ok=false_rejects.n,
        n_defect=escapes.n,
        n_groups=len(set(groups)),
        auroc=area,
        auroc_interval=auroc_interval(values, defective, groups),
        average_precision=average_precision(values, defective),
        average_precision_interval=average_precision_interval(values, defective, groups),
        thresholds=thresholds,
        escapes=escapes,
        false_rejects=false_rejects,
        reviews=rate_of(reviewed, len(values), independent),
        at_recall={recall: false_rejects_at(values, defective, recall) for recall in RECALLS},
        by_class=by_class,
        confusion=confusion,
        calibration=reliability(values, defective),
        claims=make_claims(escapes, false_rejects, requirements or Requirements()),
    )


def _compared(at_recall: dict[float, float]) -> str:
    shares = ", ".join(f"{share:.1%} at {recall:.0%}" for recall, share in at_recall.items())
    return f"false rejects {shares} recall, were the line drawn on these pictures"


def _spread(value: float, interval: Interval, guessing: float) -> str:
    low, high = interval
    return (
        f"{value:.3f}  (95 % interval {low:.3f} to {high:.3f}; {guessing:.3g} is guessing, "
        "1 is perfect)"
    )
