"""The sections of the report, for readers who know parts and not models."""

from html import escape
from typing import Any

from trainer.data.dataset import SET_NAMES
from trainer.data.synthetic_set import SYNTHETIC_NOTE
from trainer.evaluation import Evaluation, Rate
from trainer.evaluation.metrics import OUTCOMES
from trainer.report.charts import (
    auroc_chart,
    histogram,
    precision_chart,
    reliability_chart,
    roc_chart,
    training_chart,
)
from trainer.report.gallery import GalleryCard
from trainer.report.page import figure, paragraph, section, table, tile
from trainer.report.run_data import RunData


def verdict_section(run_data: RunData) -> str:
    """The first section: the verdict on the model."""
    evaluation = run_data.evaluation
    low, high = evaluation.auroc_interval
    refused = evaluation.refusals()
    if not evaluation.learned:
        return section(
            "Summary",
            paragraph("Not learned: do not use this model.", "answer"),
            paragraph(
                f"On unknown parts it ranks a defect above a good part in "
                f"{_share(evaluation.auroc, 0)} of pairs. By this test set the true share lies "
                f"between {_share(low, 0)} and {_share(high, 0)}; chance gives 50 %. So no "
                "threshold is given, and edge-convert refuses this model."
            ),
            paragraph(
                "What helps: check the labels with edge-train audit; add pictures of more parts, "
                "of defects above all; make sure the defect can be seen at the network's size."
            ),
            kind="verdict no",
        )
    tiles = [
        tile(f"{evaluation.auroc:.3f}", f"AUROC; 95 % interval {low:.3f} to {high:.3f}"),
        _rate_tile(evaluation.escapes, "of the defects pass (escapes)"),
        _rate_tile(evaluation.false_rejects, "of the good parts fail (false rejects)"),
        _rate_tile(evaluation.reviews, "of these pictures go to a person"),
    ]
    answer = (
        "The test set does not show the limits: do not use this model yet."
        if refused
        else "Learned: it separates defects from good parts."
    )
    at = evaluation.thresholds
    return section(
        "Summary",
        paragraph(answer, "answer"),
        *([paragraph(f"Note: {SYNTHETIC_NOTE}.")] if run_data.spec.data.get("painted") else []),
        *(paragraph(reason) for reason in refused),
        '<div class="tiles">' + "".join(tiles) + "</div>",
        paragraph(f"What may be claimed: {evaluation.claims.escape.as_text()}."),
        paragraph(f"And: {evaluation.claims.false_reject.as_text()}."),
        paragraph(
            f"A part fails from a score of {at.reject_at:.4f} and goes to a person from "
            f"{at.review_from:.4f}. Chosen {at.chosen}.",
            "hint",
        ),
        kind="verdict no" if refused else "verdict",
    )


def data_section(run_data: RunData) -> str:
    """Pictures by set and label."""
    counts = run_data.spec.data.get("counts", {})
    labels = list(run_data.spec.labels)
    rows = []
    for set_name in SET_NAMES:
        row = counts.get(set_name, {})
        rows.append([set_name, *(f"{row.get(label, 0):,}" for label in labels)])
    fingerprint = str(run_data.spec.data.get("fingerprint", "not recorded"))
    return section(
        "Data",
        paragraph(
            "The network learned from train. Thresholds and temperature come from validation. "
            "Every figure on this page is of test: other parts than those of train and validation. "
            f"Its {len(run_data.test)} pictures show {run_data.evaluation.n_groups} parts."
        ),
        table(["set", *labels], rows),
        *_merged_from(run_data.spec.data.get("datasets")),
        paragraph(f"fingerprint of all pictures: {fingerprint}", "hint"),
    )


def _merged_from(datasets: Any) -> list[str]:
    """A table of the data sets, when the training had several."""
    if not isinstance(datasets, list):
        return []
    rows = [[str(one.get("name")), f"{one.get('pictures'):,}"] for one in datasets]
    return [table(["data set", "pictures"], rows)]


def _plain(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def training_section(run_data: RunData) -> str:
    """The training and its settings; empty without epochs."""
    if not run_data.history:
        return ""
    training = run_data.spec.training
    settings = ", ".join(
        f"{name.replace('_', ' ')} {_plain(value)}"
        for name, value in training.items()
        if isinstance(value, str | int | float | bool)
    )
    charts = ""
    if len(run_data.history) > 1:
        charts = (
            '<div class="pair">'
            + figure(
                training_chart(run_data.history),
                "Loss: pale on the train set, dark on parts held out. Dashed: the epoch kept.",
            )
            + figure(auroc_chart(run_data.history), "AUROC on the parts held out; 0.5 is guessing.")
            + "</div>"
        )
    why = "; ".join(str(reason) for reason in training.get("input") or [])
    return section(
        "Training", charts, paragraph(f"{settings}. Input: {why}" if why else settings, "hint")
    )


def ranking_section(run_data: RunData) -> str:
    """ROC, precision-recall and calibration."""
    evaluation, scores, defective = run_data.evaluation, run_data.scores, run_data.defective
    low, high = evaluation.average_precision_interval
    charts = [
        figure(
            roc_chart(evaluation, scores, defective),
            "Each point is a threshold: how many defects it catches, how many good parts it "
            "rejects. Shaded: 95 % at each point. Dashed: guessing."
            + (" Dots: the two thresholds." if evaluation.learned else ""),
        ),
        figure(
            precision_chart(evaluation, scores, defective),
            f"Average precision {evaluation.average_precision:.3f} (95 % interval {low:.3f} to "
            f"{high:.3f}), at this test set's share of defects.",
        ),
    ]
    compared = paragraph(
        "With a threshold chosen on these test pictures, "
        + ", ".join(
            f"{share:.1%} of the good parts would fail to catch {recall:.0%} of the defects"
            for recall, share in evaluation.at_recall.items()
        )
        + ": these figures compare networks and promise nothing.",
        "hint",
    )
    pair = '<div class="pair">' + "".join(charts) + "</div>"
    return section("How well it ranks", pair, compared)


def scores_section(run_data: RunData) -> str:
    """Histogram and confusion table."""
    evaluation = run_data.evaluation
    at = evaluation.thresholds if evaluation.learned else None
    chart = figure(
        histogram(run_data.scores, run_data.defective, at),
        "How often each score occurs; heights are square roots of shares, so that the few doubtful "
        "pictures are visible." + (" Shaded: scores for review." if at is not None else ""),
    )
    chart = f'<div class="scroll wide">{chart}</div>'
    if not evaluation.learned:
        return section("Scores", chart)
    rows = [
        [label, *(str(row[name]) for name in OUTCOMES)]
        for label, row in evaluation.confusion.items()
    ]
    by_class = [
        [
            name,
            f"{rate.n - rate.k} of {rate.n}",
            f"{rate.k}",
            _interval(rate),
            f"{rate.independent:.0f}",
        ]
        for name, rate in evaluation.by_class.items()
    ]
    return section(
        "Scores and verdicts",
        chart,
        "<h3>Verdicts by true class</h3>",
        table(["truly", *OUTCOMES], rows),
        "<h3>By defect class</h3>",
        table(["class", "caught", "escaped", "escape rate, 95 %", "counts as"], by_class),
        paragraph(
            "“Counts as”: pictures of one part resemble each other, so they count as fewer "
            "independent pictures. The intervals use this number.",
            "hint",
        ),
    )


def calibration_section(run_data: RunData) -> str:
    """The reliability chart and its table."""
    evaluation = run_data.evaluation
    rows = [
        [
            f"{one.low:.1f} to {one.high:.1f}",
            str(one.n),
            f"{one.mean_score:.3f}",
            f"{one.defects / one.n:.3f}",
        ]
        for one in evaluation.calibration.bins
    ]
    caption = (
        f"Calibrated scores lie on the diagonal. "
        f"Mean gap {_share(evaluation.calibration.error)}; "
        f"temperature {run_data.spec.output.temperature:g}, fitted on validation."
    )
    return section(
        "Do scores agree with defect rates?",
        '<div class="pair">',
        figure(reliability_chart(evaluation), caption),
        table(["score", "pictures", "mean score", "defective"], rows),
        "</div>",
        paragraph("At this test set's share of defects; a production line has fewer.", "hint"),
    )


def gallery_section(title: str, meaning: str, found: list[GalleryCard]) -> str:
    """Pictures with their heat maps, or "none"."""
    if not found:
        return f"<h3>{escape(title)}</h3>" + paragraph("none", "hint")
    shown = "".join(
        f'<div class="card"><div><img alt="{escape(card.row.file)}" src="{card.picture}">'
        f'<img alt="regions that the network used" src="{card.heat}"></div>'
        f"<p><b>{escape(card.row.label)}</b>, score {card.row.score:.4f}<br>"
        f"{escape(card.row.file)}</p></div>"
        for card in found
    )
    return f'<h3>{escape(title)}</h3>{paragraph(meaning, "hint")}<div class="gallery">{shown}</div>'


def _rate_tile(rate: Rate, meaning: str) -> str:
    share = _share(rate.rate) if rate.rate is not None else "–"
    return tile(share, f"{meaning}: {rate.k} of {rate.n}; 95 % interval {_interval(rate)}")


def _interval(rate: Rate) -> str:
    low, high = rate.interval
    return f"{_share(low)} to {_share(high)}"


def _share(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


def summary(evaluation: Evaluation) -> str:
    """One line below the title."""
    return (
        f"{evaluation.n_ok} good and {evaluation.n_defect} defective pictures of "
        f"{evaluation.n_groups} parts that it was not trained on"
    )
