"""The charts of a report as SVG."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection import Thresholds
from trainer.evaluation import Evaluation
from trainer.evaluation.curves import curves
from trainer.evaluation.intervals import binomial_interval
from trainer.report.drawing import Plot

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

QUARTER_TICKS = (0, 0.25, 0.5, 0.75, 1)
UNIT = (0.0, 1.0)
BINS = 40
MAX_POINTS = 200  # of a curve; more are not visible


def roc_chart(evaluation: Evaluation, scores: Floats, defective: Bools) -> str:
    """Defects caught against good parts rejected, with the pointwise 95 % band."""
    found = curves(scores, defective)
    kept = _thinned(len(found.line))
    plot = Plot("ROC curve", UNIT, UNIT, ("good parts rejected", "defects caught"))
    count = evaluation.escapes.independent
    ends = [binomial_interval(float(r) * count, count) for r in found.recall[kept]]
    across = found.false_rejects[kept]
    lower, upper = zip(*ends)
    plot.band(_points(across, lower), _points(across, upper), "band")
    plot.line([(0, 0), (1, 1)], "chance")
    plot.line(_points(across, found.recall[kept]), "curve")
    if evaluation.learned:
        at = evaluation.thresholds
        for line, name in ((at.reject_at, "fail"), (at.review_from, "review")):
            point = (
                float((scores[~defective] >= line).mean()),
                float((scores[defective] >= line).mean()),
            )
            plot.dot(point, f"mark {name}", f"{name} from score {line:.4f}")
    plot.text((0.97, 0.05), f"AUROC {evaluation.auroc:.3f}", "big", "end")
    return plot.svg(QUARTER_TICKS, QUARTER_TICKS, percent=True)


def precision_chart(evaluation: Evaluation, scores: Floats, defective: Bools) -> str:
    """Precision against defects caught, with a pointwise 95 % band."""
    found = curves(scores, defective)
    kept = _thinned(len(found.line))
    plot = Plot(
        "precision-recall curve",
        UNIT,
        UNIT,
        ("defects caught", "truly defective of those called"),
    )
    caught, right = found.recall[kept], found.precision[kept]
    called = np.maximum(
        caught * evaluation.escapes.independent
        + found.false_rejects[kept] * evaluation.false_rejects.independent,
        1.0,
    )
    ends = [binomial_interval(float(p * n), float(n)) for p, n in zip(right, called)]
    lower, upper = zip(*ends)
    plot.band(_points(caught, lower), _points(caught, upper), "band")
    share = evaluation.n_defect / (evaluation.n_ok + evaluation.n_defect)
    plot.line([(0, share), (1, share)], "chance")
    plot.line(_points(caught, right), "curve")
    plot.text((0.03, 0.05), f"average precision {evaluation.average_precision:.3f}", "big")
    return plot.svg(QUARTER_TICKS, QUARTER_TICKS, percent=True)


def histogram(scores: Floats, defective: Bools, at: Thresholds | None) -> str:
    """A histogram of scores: good parts upwards, defects downwards, as shares of their kind."""
    edges = np.linspace(0, 1, BINS + 1)
    good, bad = (
        np.histogram(scores[kind], edges)[0] / max(int(kind.sum()), 1)
        for kind in (~defective, defective)
    )
    # Square roots: most pictures are clear cases, and the few doubtful ones matter.
    top = 1.08 * float(np.sqrt(max(good.max(), bad.max(), 1e-9)))
    plot = Plot("scores", UNIT, (-top, top), ("score: probability of a defect", ""), (860, 260))
    if at is not None:
        plot.bar((at.review_from, -top), (at.reject_at, top), "reviewband")
    for kind, shares, sign in (("good", good, 1), ("defect", bad, -1)):
        for low, high, share in zip(edges, edges[1:], shares):
            if share > 0:
                tip = f"score {low:.3f} to {high:.3f}: {share:.1%} of the {kind} pictures"
                height = sign * float(np.sqrt(share))
                plot.bar((low + 0.002, 0), (high - 0.002, height), f"bar {kind}", tip)
    plot.line([(0, 0), (1, 0)], "axisline")
    if at is not None:
        for line, name in ((at.review_from, "review"), (at.reject_at, "fail")):
            plot.line([(line, -top), (line, top)], f"threshold {name}")
    plot.text((0.99, 0.86 * top), "good parts", "big good-text", "end")
    plot.text((0.01, -0.92 * top), "defects", "big defect-text")
    return plot.svg(tuple(np.round(np.linspace(0, 1, 11), 1)), ())


def reliability_chart(evaluation: Evaluation) -> str:
    """The share of defects by score; calibrated scores lie on the diagonal."""
    plot = Plot("reliability", UNIT, UNIT, ("score", "share truly defective"))
    plot.line([(0, 0), (1, 1)], "chance")
    for one in evaluation.calibration.bins:
        low, high = one.interval
        share = one.defects / one.n
        plot.line([(one.mean_score, low), (one.mean_score, high)], "whisker")
        tip = f"{one.n} pictures scored about {one.mean_score:.2f}: {share:.0%} were defective"
        plot.dot((one.mean_score, share), "mark plain", tip)
    return plot.svg(QUARTER_TICKS, QUARTER_TICKS, percent=True)


def training_chart(history: Sequence[dict[str, Any]]) -> str:
    """Loss by epoch on the train and the validation set, with a mark at the kept epoch."""
    epochs = [int(row["number"]) for row in history]
    losses = [float(row["loss"]) for row in history]
    held_out = [float(row["validation_loss"]) for row in history]
    top = 1.05 * max([*_without_spikes(losses), *_without_spikes(held_out), 1e-6])
    plot = Plot("training", (epochs[0], epochs[-1]), (0.0, top), ("epoch", "loss"))
    plot.line(_points(epochs, np.minimum(losses, top)), "curve faint")
    plot.line(_points(epochs, np.minimum(held_out, top)), "curve")
    best = max((row for row in history if row.get("best")), key=lambda row: row["number"])
    where = int(best["number"])
    plot.line([(where, 0.0), (where, top)], "threshold plain")
    return plot.svg(_integer_ticks(epochs[0], epochs[-1]), _round_ticks(top))


def auroc_chart(history: Sequence[dict[str, Any]]) -> str:
    """AUROC of the validation set by epoch."""
    epochs = [int(row["number"]) for row in history]
    plot = Plot("AUROC by epoch", (epochs[0], epochs[-1]), UNIT, ("epoch", "AUROC, held out"))
    plot.line([(epochs[0], 0.5), (epochs[-1], 0.5)], "chance")
    plot.line(_points(epochs, [float(row["validation_auroc"]) for row in history]), "curve")
    return plot.svg(_integer_ticks(epochs[0], epochs[-1]), QUARTER_TICKS)


def _points(xs: Any, ys: Any) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(xs, ys)]


def _thinned(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(np.int64))


def _without_spikes(values: Sequence[float]) -> list[float]:
    """The values without spikes of the first epochs, which would flatten the rest."""
    return [value for value in values if value <= 3 * float(np.median(values)) + 1e-9]


def _integer_ticks(first: int, last: int) -> list[float]:
    step = max(1, -(-(last - first) // 6))
    return [float(at) for at in range(first, last + 1, step)]


def _round_ticks(top: float) -> list[float]:
    step = 10.0 ** np.floor(np.log10(top))
    step = float(step if top / step >= 4 else step / 2 if top / step >= 2 else step / 5)
    return [round(float(at), 6) for at in np.arange(0, top, step)]
