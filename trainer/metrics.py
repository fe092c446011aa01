"""How good a judge is, with what can be claimed of it: AUROC, escapes and false rejects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.errors import DatasetError
from edge.inspection.decision import Thresholds, decide
from trainer.extra import extra

OUTCOMES = ("pass", "review", "fail")
_CHUNK = 4_000_000  # numbers held at once while resampling


def auroc(scores: ArrayLike, defective: ArrayLike) -> float:
    """The chance that a defective picture scores above a good one, ties counting half.

    `scores` is float, (n,), higher for worse; `defective` is bool, (n,).
    Raises DatasetError when either kind is missing.
    """
    values, bad = _checked(scores, defective)
    return float(_weighted_auroc(values, bad, np.ones((1, len(values))))[0])


def binomial_interval(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval for a rate of which `k` in `n` were seen (Clopper and Pearson, 1934).

    Quantiles of the beta distribution; the lower end is 0 when k is 0, the upper end 1 when k
    is n, and all is possible when n is 0. 0 in 100 gives at most 3.6 %: the interval is
    two-sided. Raises ValueError for impossible numbers, MissingPartError without scipy.
    """
    if not 0 <= k <= n or not 0 < confidence < 1:
        raise ValueError(f"{k} of {n} at confidence {confidence}")
    beta = extra("scipy.stats").beta
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def auroc_interval(
    scores: ArrayLike,
    defective: ArrayLike,
    groups: Sequence[str],
    seed: int = 0,
    rounds: int = 1000,
) -> tuple[float, float]:
    """The 95 % interval of the AUROC by resampling groups, (low, high).

    Groups are parts: pictures of one part are no independent witnesses. `groups` names the part
    of each of the n pictures. Rounds that drew only one kind are left out.
    Raises DatasetError when good or defective pictures are missing.
    """
    values, bad = _checked(scores, defective)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn: list[NDArray[np.float64]] = [_weighted_auroc(values, bad, np.ones((1, len(values))))]
    step = max(1, _CHUNK // len(values))
    even = np.full(len(names), 1 / len(names))
    for start in range(0, rounds, step):
        weights = rng.multinomial(len(names), even, size=min(step, rounds - start))
        drawn.append(_weighted_auroc(values, bad, weights[:, member].astype(np.float64)))
    estimate, resampled = drawn[0][0], np.concatenate(drawn)
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return float(min(low, estimate)), float(max(high, estimate))


def _checked(
    scores: ArrayLike, defective: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, bad = np.asarray(scores, np.float64), np.asarray(defective, np.bool_)
    if values.shape != bad.shape or values.ndim != 1:
        raise ValueError(f"scores {values.shape} and defective {bad.shape} must be one-dimensional")
    if not bad.any() or bad.all():
        raise DatasetError(
            f"{int(bad.sum())} defective pictures in {len(bad)}: figures need good and defective "
            "ones; add the missing kind to this part"
        )
    return values, bad


def _weighted_auroc(
    values: NDArray[np.float64], bad: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AUROC by row of `weights`, (rounds, n): how often each picture counts. NaN for one kind."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    by_rank = weights[:, order]
    defects = np.add.reduceat(by_rank * bad[order], starts, axis=1)
    good = np.add.reduceat(by_rank * ~bad[order], starts, axis=1)
    below = np.cumsum(good, axis=1) - good / 2
    pairs = defects.sum(axis=1) * good.sum(axis=1)
    won = (defects * below).sum(axis=1)
    result = np.full(len(weights), np.nan)
    np.divide(won, pairs, out=result, where=pairs > 0)
    return result


@dataclass(frozen=True, slots=True)
class Rate:
    """`k` of `n`, with the exact 95 % interval of the rate."""

    k: int
    n: int
    interval: tuple[float, float]

    @property
    def rate(self) -> float | None:
        """k / n, 0 to 1; None when there was nothing to count."""
        return self.k / self.n if self.n else None

    def as_json(self) -> dict[str, Any]:
        """For inspection.json and reports."""
        return {"k": self.k, "n": self.n, "rate": self.rate, "interval": list(self.interval)}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model did on pictures whose truth is known.

    `escapes` are defects that pass, of all defects; `false_rejects` good parts that fail, of all
    good; `reviews` all that a person must look at, of all. `confusion` is by true label, then
    by outcome. `n_groups` is how many independent parts the pictures show.
    """

    n_ok: int
    n_defect: int
    n_groups: int
    auroc: float
    auroc_interval: tuple[float, float]
    thresholds: Thresholds
    escapes: Rate
    false_rejects: Rate
    reviews: Rate
    confusion: dict[str, dict[str, int]]

    def as_json(self) -> dict[str, Any]:
        """For evaluation.json and `metrics` in inspection.json; rates and intervals are 0 to 1."""
        return {
            "n_ok": self.n_ok,
            "n_defect": self.n_defect,
            "n_groups": self.n_groups,
            "auroc": self.auroc,
            "auroc_interval": list(self.auroc_interval),
            "thresholds": self.thresholds.model_dump(mode="json"),
            "escapes": self.escapes.as_json(),
            "false_rejects": self.false_rejects.as_json(),
            "reviews": self.reviews.as_json(),
            "confusion": self.confusion,
        }

    def as_text(self) -> str:
        """A table for the people at the line."""
        at = self.thresholds
        low, high = self.auroc_interval
        counted = f"{self.n_ok} good, {self.n_defect} defective, of {self.n_groups} groups"
        spread = f"95 % interval {low:.3f} to {high:.3f}; 0.5 is guessing, 1 is perfect"
        lines = [
            f"pictures       {counted}",
            f"AUROC           {self.auroc:.3f}  ({spread})",
            _line("escapes", self.escapes, "defects that pass"),
            _line("false rejects", self.false_rejects, "good parts that fail"),
            _line("for review", self.reviews, "parts a person must look at"),
            f"thresholds     fail from score {at.reject_at:.4f}, review from {at.review_from:.4f}",
        ]
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
) -> Evaluation:
    """Judges the scores as the daemon would and compares with the truth.

    `scores` is float, (n,), P(defective), 0 to 1; `labels` and `groups` are the truth and the
    part of each picture. Raises DatasetError when good or defective pictures are missing.
    """
    values = np.asarray(scores, np.float64)
    defective = np.array([label != ok_label for label in labels], np.bool_)
    area = auroc(values, defective)
    found = [decide(float(score), thresholds) for score in values]
    names = [ok_label, *sorted(set(labels) - {ok_label})]
    confusion = {name: dict.fromkeys(OUTCOMES, 0) for name in names}
    for label, outcome in zip(labels, found):
        confusion[label][outcome] += 1
    n_defect = int(defective.sum())
    n_ok = len(values) - n_defect
    return Evaluation(
        n_ok=n_ok,
        n_defect=n_defect,
        n_groups=len(set(groups)),
        auroc=area,
        auroc_interval=auroc_interval(values, defective, groups),
        thresholds=thresholds,
        escapes=_rate(sum(confusion[name]["pass"] for name in names[1:]), n_defect),
        false_rejects=_rate(confusion[ok_label]["fail"], n_ok),
        reviews=_rate(sum(row["review"] for row in confusion.values()), len(values)),
        confusion=confusion,
    )


def _rate(k: int, n: int) -> Rate:
    return Rate(k, n, binomial_interval(k, n))


def _line(name: str, rate: Rate, meaning: str) -> str:
    low, high = rate.interval
    share = f"{rate.rate:6.1%}" if rate.rate is not None else "     –"
    return (
        f"{name:<14} {share}  ({rate.k} of {rate.n} {meaning}; "
        f"95 % interval {low:.1%} to {high:.1%})"
    )
