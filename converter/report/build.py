"""From a finished conversion to its report."""

import base64
from html import escape

import cv2
import numpy as np

from converter.convert import Conversion
from converter.evaluation import is_flip
from converter.report.bar_chart import STYLE, bars
from converter.report.latency_text import parity_text
from converter.report.speed import speed_section
from converter.report.text import SCHEME_WORDS, headings, scheme_rows
from edge.core.image import read_picture
from edge.inspection import decide
from trainer.report.page import page, paragraph, section, table, tiles

CARDS = 24
SIDE = 160


def render(done: Conversion) -> str:
    """The page. Raises PictureError when a picture has gone since it was judged."""
    spec = done.spec
    tools = ", ".join(f"{name} {version}" for name, version in sorted(spec.tools.items()))
    return page(
        f"{spec.name}, version {spec.version}",
        f"conversion to {done.path.name}, {SCHEME_WORDS[done.chosen.scheme]}",
        [
            _verdict(done),
            _schemes(done),
            _changed(done),
            _layers(done),
            _decoding(done),
            speed_section(done),
            _runs(done),
        ],
        f"made with {tools}",
        extra_style=STYLE,
    )


def _verdict(done: Conversion) -> str:
    compared = done.chosen.compared
    assert compared is not None
    difference = done.chosen.runtime_difference
    text = "only one runtime was asked" if difference is None else "largest between runtimes"
    return section(
        "The file judges like the model that was tested",
        paragraph(
            f"{len(compared.flips)} of {compared.pictures} test verdicts flip between pass and "
            f"fail, {compared.review_moves} move into or out of review.",
            "answer",
        ),
        tiles(
            [
                (f"{done.size / 1024:,.0f} KB", "size of the file"),
                (
                    f"{done.chosen.runtime_results[0].milliseconds:.2f} ms",
                    "a picture, here, one thread",
                ),
                (f"{compared.auroc_float:.4f}", "AUROC, float32"),
                (f"{compared.auroc_int8:.4f}", "AUROC, in the file"),
                (f"{compared.largest_change:.4f}", "largest change of a score"),
                ("–" if difference is None else f"{difference:.5f}", text),
            ]
        ),
        kind="verdict",
    )


def _schemes(done: Conversion) -> str:
    selection = done.selection
    reasons = [
        paragraph(f"{trial.label}: {reason}", "hint")
        for trial in selection.trials
        for reason in trial.objections
    ]
    return section(
        "Schemes side by side",
        table(headings(selection), scheme_rows(selection), selection.trials.index(done.chosen)),
        paragraph(
            "The first that passes the gate is taken; those after it are looked at on fewer "
            "pictures. Loss is of AUROC against float32 on the same pictures; flips are verdicts "
            "that change between pass and fail.",
            "hint",
        ),
        *reasons,
    )


def _changed(done: Conversion) -> str:
    trial, test = done.chosen, done.evaluation_set.test
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
            f"<p>{escape(sample.file)}<br>truly {escape(sample.label)}<br>"
            f"float {old:.4f} {decide(old, at)}<br>file {new:.4f} {decide(new, at)}</p></div>"
        )
    return section(
        f"Verdicts that flip: {sum(flips)}",
        paragraph(
            "Test pictures that pass by one and fail by the other, framed in red; then those whose "
            "score changed most."
        ),
        f'<div class="gallery">{"".join(cards)}</div>',
    )


def _layers(done: Conversion) -> str:
    rows = [
        (layer.layer, layer.error, f"{layer.error:.1%}")
        for layer in done.chosen.layers
        if layer.error > 0
    ]
    clipped = max((layer.clipped for layer in done.chosen.layers), default=0.0)
    return section(
        "Error by layer",
        bars(
            "error by layer",
            rows,
            "RMS of the difference to float32 over RMS in float32, in the order in which they run. "
            f"At most {clipped:.2%} of a layer's values lie outside the range it can hold.",
        )
        if rows
        else paragraph("Every layer computes as in float32."),
    )


def _decoding(done: Conversion) -> str:
    found = done.parity
    rows = [
        ["test pictures", f"{found.pictures}"],
        ["large enough to be reduced", f"{found.concerned}"],
        ["of these made into JPEGs", f"{found.encoded}"],
        ["verdicts that change", f"{len(found.flips)}"],
        ["largest change of a score", f"{found.largest_change:.4f}"],
        ["mean change of a score", f"{found.mean_change:.5f}"],
        ["golden pictures large enough", f"{found.golden_concerned}"],
        ["golden pictures that change", ", ".join(found.golden_flips) or "0"],
    ]
    return section(
        "JPEGs decoded at reduced scale",
        paragraph(f"{parity_text(found.as_json())}."),
        table(["each JPEG judged whole and reduced", ""], rows),
        paragraph(f"Changed: {', '.join(found.flips)}.", "hint") if found.flips else "",
        paragraph(
            "A box decodes a JPEG at half, a quarter or an eighth of its size, where the model "
            "needs no more, only when the file allows it: at most 0.5 % of the verdicts may "
            "change, and no golden picture's.",
            "hint",
        ),
    )


def _runs(done: Conversion) -> str:
    rows = [
        [ran.runtime, f"{ran.difference:.5f}", f"{ran.milliseconds:.2f}"]
        for ran in done.chosen.runtime_results
    ]
    thresholds = done.spec.thresholds
    return section(
        "Runtimes, calibration, thresholds",
        table(["runtime", "largest score difference to the first", "ms"], rows),
        paragraph(
            f"Calibrated on {done.calibrated_on} training pictures, each class as often while it "
            f"has pictures. Fail from score {thresholds.reject_at:.4f}, review from "
            f"{thresholds.review_from:.4f}, chosen {thresholds.chosen}."
        ),
    )
