"""Renders the HTML report of a finished conversion."""

import base64
from html import escape

import cv2
import numpy as np

from converter.convert import Conversion
from converter.evaluation import is_flip
from converter.report.bar_chart import STYLE, bar_chart
from converter.report.latency_text import decoding_text
from converter.report.speed import speed_section
from converter.report.text import SCHEME_WORDS, headings, scheme_groups, scheme_rows
from edge.core.image import read_picture
from edge.inspection import decide
from trainer.report.page import page, paragraph, section, table, tiles

CARDS = 24
SIDE = 160


def render(conversion: Conversion) -> str:
    """The page as HTML. Raises PictureError when a picture no longer exists."""
    spec = conversion.spec
    tools = ", ".join(f"{name} {version}" for name, version in sorted(spec.tools.items()))
    return page(
        f"{spec.name}, version {spec.version}",
        f"conversion to {conversion.path.name}, {SCHEME_WORDS[conversion.chosen.scheme]}",
        [
            _verdict(conversion),
            _schemes(conversion),
            _score_changes(conversion),
            _layers(conversion),
            _decoding(conversion),
            speed_section(conversion),
            _runtimes(conversion),
        ],
        f"made with {tools}",
        extra_style=STYLE,
    )


def _verdict(conversion: Conversion) -> str:
    score_diff = conversion.chosen.score_diff
    assert score_diff is not None
    difference = conversion.chosen.runtime_difference
    text = "only one runtime was compared" if difference is None else "largest between runtimes"
    return section(
        "The file judges like the tested model",
        paragraph(
            f"{len(score_diff.flips)} of {score_diff.pictures} test verdicts flip between pass and "
            f"fail, {score_diff.review_moves} move into or out of review.",
            "answer",
        ),
        tiles(
            [
                (f"{conversion.size / 1024:,.0f} KB", "size of the file"),
                (
                    f"{conversion.chosen.runtime_results[0].milliseconds:.2f} ms",
                    "per picture, here, one thread",
                ),
                (f"{score_diff.auroc_float:.4f}", "AUROC, float32"),
                (f"{score_diff.auroc_int8:.4f}", "AUROC, in the file"),
                (f"{score_diff.largest_change:.4f}", "largest change of a score"),
                ("–" if difference is None else f"{difference:.5f}", text),
            ]
        ),
        kind="verdict",
    )


def _schemes(conversion: Conversion) -> str:
    selection = conversion.selection
    reasons = [
        paragraph(f"{trial.label}: {reason}", "hint")
        for trial in selection.trials
        for reason in trial.objections
    ]
    tables = [
        paragraph(title)
        + table(
            headings(selection),
            scheme_rows(selection, trials),
            trials.index(conversion.chosen) if conversion.chosen in trials else None,
        )
        for title, trials in scheme_groups(selection)
    ]
    return section(
        "Schemes side by side",
        *tables,
        paragraph(
            "The first scheme that passes the gate is chosen; later schemes get a quick look on "
            "fewer pictures. Loss is the loss of AUROC against float32 on the same pictures. Flips "
            "are verdicts that change between pass and fail.",
            "hint",
        ),
        *reasons,
    )


def _score_changes(conversion: Conversion) -> str:
    trial, test = conversion.chosen, conversion.evaluation_set.test
    assert trial.scores is not None
    assert trial.thresholds is not None
    at = trial.thresholds
    change = np.abs(trial.scores - test.float_scores)
    flips = [
        is_flip(float(old), float(new), at) for old, new in zip(test.float_scores, trial.scores)
    ]
    order = sorted(range(len(change)), key=lambda place: (not flips[place], -change[place]))
    cards = []
    for place in order[:CARDS]:
        sample = test.samples[place]
        old, new = float(test.float_scores[place]), float(trial.scores[place])
        pixels = read_picture(sample.path)
        scale = min(1.0, SIDE / max(pixels.shape[:2]))
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
        data = base64.b64encode(jpeg.tobytes()).decode()
        cards.append(
            f'<div class="card{" flip" if flips[place] else ""}">'
            f'<img alt="{escape(sample.file)}" src="data:image/jpeg;base64,{data}">'
            f"<p>{escape(sample.file)}<br>label {escape(sample.label)}<br>"
            f"float {old:.4f} {decide(old, at)}<br>file {new:.4f} {decide(new, at)}</p></div>"
        )
    return section(
        f"Verdicts that flip: {sum(flips)}",
        paragraph(
            "In red: test pictures that one model passes and the other fails. Then the pictures "
            "with the largest score change."
        ),
        f'<div class="gallery">{"".join(cards)}</div>',
    )


def _layers(conversion: Conversion) -> str:
    rows = [
        (layer.layer, layer.error, f"{layer.error:.1%}")
        for layer in conversion.chosen.layers
        if layer.error > 0
    ]
    clipped = max((layer.clipped for layer in conversion.chosen.layers), default=0.0)
    return section(
        "Error by layer",
        bar_chart(
            "error by layer",
            rows,
            "RMS of the difference to float32 over RMS of float32, in execution order. At most "
            f"{clipped:.2%} of the values of a layer are outside its range.",
        )
        if rows
        else paragraph("No layer differs from float32."),
    )


def _decoding(conversion: Conversion) -> str:
    return section(
        "Decoding of JPEGs",
        paragraph(
            f"A box decodes JPEGs {decoding_text(conversion.spec)}. Training, thresholds, golden "
            "pictures and the figures of this page do the same."
        ),
    )


def _runtimes(conversion: Conversion) -> str:
    rows = [
        [result.runtime, f"{result.difference:.5f}", f"{result.milliseconds:.2f}"]
        for result in conversion.chosen.runtime_results
    ]
    thresholds = conversion.spec.thresholds
    return section(
        "Runtimes, calibration, thresholds",
        table(["runtime", "largest score difference to the first", "ms"], rows),
        paragraph(
            f"Calibrated on {conversion.calibrated_on} training pictures, equally many of each "
            f"class while it has pictures. Fail from score {thresholds.reject_at:.4f}, review from "
            f"{thresholds.review_from:.4f}, chosen {thresholds.chosen}."
        ),
    )
