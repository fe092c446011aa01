"""Texts for the terminal: the result of a conversion, a comparison, the content of a model file."""

import json
from collections.abc import Sequence
from typing import Any

from converter.convert import Conversion
from converter.evaluation import ModelDiff
from converter.report.latency_text import decoding_text, latency_lines
from converter.selection import SchemeSelection, SchemeTrial
from edge.inspection import InspectionSpec, ModelFile
from trainer.data.synthetic_set import SYNTHETIC_NOTE
from trainer.device_latency import format_ms

SCHEME_WORDS = {
    "int8-float-head": "int8, float32 head",
    "int8": "int8",
    "float16": "float16 weights",
    "float32": "float32",
    "dynamic": "int8 weights, dynamic ranges",
    "int16x8": "int16 activations, int8 weights",
}


def conversion_text(conversion: Conversion) -> str:
    """The figures of a conversion that passed the gate, and the next command."""
    score_diff = conversion.chosen.score_diff
    assert score_diff is not None
    int8, float32 = conversion.figures.converted.as_json(), conversion.figures.float32.as_json()
    spec, at = conversion.spec, conversion.spec.thresholds
    written = f"{conversion.path}: {spec.name} {spec.version}, {conversion.size / 1024:.0f} KB"
    milliseconds = conversion.chosen.runtime_results[0].milliseconds
    scheme = SCHEME_WORDS[conversion.chosen.scheme]
    moved = (
        f"{len(score_diff.flips)} of {score_diff.pictures} verdicts flip between pass and fail, "
        f"{score_diff.review_moves} move into or out of review, "
        f"the largest change of a score is {score_diff.largest_change:.4f}"
    )
    rates = [("escapes", "escapes"), ("false rejects", "false_rejects"), ("for review", "reviews")]
    lines = [
        f"{written}, {scheme}, {milliseconds:.2f} ms per picture here",
        *latency_lines(conversion),
        "",
        f"{'test set':<16}{'float32':>26}{'in the file':>26}",
        _row("AUROC", f"{score_diff.auroc_float:.4f}", f"{score_diff.auroc_int8:.4f}"),
        *(
            _row(words, _rate(float32[key]), _rate(int8[key]))
            for words, key in rates
            if key in int8 and key in float32
        ),
        "",
        f"gate passed: {moved}",
        f"thresholds: fail from {at.reject_at:.4f}, review from {at.review_from:.4f}",
        f"JPEGs are decoded {decoding_text(spec)}",
        f"{len(spec.golden)} golden pictures inside; {_checked_with(spec.quantisation)}",
        "",
        "next: set model.path in config.yaml to this file and run: edge-inspect check",
    ]
    return "\n".join(lines)


HEADINGS = (
    "scheme", "", "KB", "ms", "AUROC", "loss", "flips", "to review", "largest", "worst layer"
)  # fmt: skip
_MS = HEADINGS.index("ms")


def headings(selection: SchemeSelection) -> list[str]:
    """HEADINGS, with a column for the estimated milliseconds if a box was named."""
    found = list(HEADINGS)
    if any(trial.estimate is not None for trial in selection.trials):
        found.insert(_MS + 1, "on the box")
    return found


def scheme_groups(selection: SchemeSelection) -> list[tuple[str, list[SchemeTrial]]]:
    """The trials by the pictures they were measured on, each group with its title.

    Figures of different picture sets must never stand in one column. A scheme that could not be
    built has no figures; it stands in the first group. Trials keep the order of preference.
    """
    groups: dict[int, list[SchemeTrial]] = {}
    whole = max((_pictures(trial) for trial in selection.trials), default=0)
    for trial in selection.trials:
        groups.setdefault(_pictures(trial) or whole, []).append(trial)
    return [
        (
            f"on all {count} test pictures"
            if count == whole
            else f"a quick look on {count} of the {whole} test pictures: "
            "compare with the rows of this table only",
            groups[count],
        )
        for count in sorted(groups, reverse=True)
    ]


def _pictures(trial: SchemeTrial) -> int:
    return trial.score_diff.pictures if trial.score_diff is not None else 0


def scheme_rows(
    selection: SchemeSelection, trials: Sequence[SchemeTrial] | None = None
) -> list[list[str]]:
    """One row per trial, under `headings`, in the order of preference; all trials by default."""
    shown = selection.trials if trials is None else trials
    rows = [_scheme_row(trial, chosen=trial is selection.chosen) for trial in shown]
    if len(headings(selection)) > len(HEADINGS):
        for row, trial in zip(rows, shown):
            row.insert(_MS + 1, _on_the_box(trial))
    return rows


def _on_the_box(trial: SchemeTrial) -> str:
    if trial.estimate is None:
        return "–"
    return f"{'≥ ' if trial.estimate.unknown else ''}{format_ms(trial.estimate.milliseconds)}"


def schemes_text(selection: SchemeSelection) -> str:
    """A table of schemes for each set of pictures, and below them the objections to each."""
    head = headings(selection)
    groups = [(title, scheme_rows(selection, trials)) for title, trials in scheme_groups(selection)]
    rows = [head, *(row for _, group in groups for row in group)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines: list[str] = []
    for title, group in groups:
        lines += [title, *(_table_line(row, widths) for row in [head, *group])]
    for trial in selection.trials:
        lines += [f"  {trial.label}: {reason}" for reason in trial.objections]
    if selection.chosen is not None and selection.chosen.kernels != "quickest":
        quick = next(t for t in selection.trials if t.scheme == selection.chosen.scheme)
        lines.append(
            f"  no box has tflite-runtime? --without-tflite-runtime takes {quick.scheme} with the "
            f"quickest kernels: {quick.runtime_results[0].milliseconds:.2f} ms per picture "
            "here instead of "
            f"{selection.chosen.runtime_results[0].milliseconds:.2f}"
        )
    return "\n".join(lines)


def _table_line(row: Sequence[str], widths: Sequence[int]) -> str:
    """A line of the table: words to the left, figures to the right."""
    words = 0, 1, len(row) - 1
    return "  ".join(
        cell.ljust(width) if at in words else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths))
    ).rstrip()


def _scheme_row(trial: SchemeTrial, *, chosen: bool) -> list[str]:
    built_model, score_diff, worst = trial.built_model, trial.score_diff, trial.worst_layer
    if built_model is None or score_diff is None:
        return [trial.label, "not possible", *("–" for _ in HEADINGS[2:])]
    state = "taken" if chosen else "refused" if trial.objections else "would pass"
    return [
        trial.label,
        state,
        f"{len(built_model.tflite) / 1024:,.0f}",
        f"{trial.runtime_results[0].milliseconds:.2f}",
        f"{score_diff.auroc_int8:.4f}",
        f"{score_diff.auroc_loss:+.4f}",
        f"{len(score_diff.flips)}/{score_diff.pictures}",
        f"{score_diff.review_moves}",
        f"{score_diff.largest_change:.4f}",
        f"{worst.layer} {worst.error:.1%}" if worst is not None else "–",
    ]


def model_text(file: ModelFile) -> str:
    """The description in a model file."""
    lines = [f"{file.path}: {len(file.content) / 1024:.0f} KB, sha256 {file.sha256}"]
    if file.spec is None:
        labels = ", ".join(file.labels) if file.labels else "none"
        return (
            f"{lines[0]}\na plain .tflite (labels: {labels}): "
            "it states neither preprocessing nor thresholds; give them in config.yaml"
        )
    spec = file.spec
    lines += [
        _line("name", spec.name),
        _line("version", spec.version),
        _line("labels", f"{', '.join(file.labels or ())} (good: {spec.ok_label})"),
        _line("input", _input(spec)),
        _line("output", f"{spec.output.kind}, temperature {spec.output.temperature:g}"),
        _line(
            "thresholds",
            f"fail from {spec.thresholds.reject_at:.4f}, "
            f"review from {spec.thresholds.review_from:.4f}",
        ),
        _line("", f"chosen {spec.thresholds.chosen}"),
        *_metrics(spec.metrics),
        *_quantisation(spec.quantisation),
        _line("JPEGs", f"decoded {decoding_text(spec)}"),
        *([_line("painted", SYNTHETIC_NOTE)] if spec.data.get("painted") else []),
        _line("data", f"fingerprint {spec.data.get('fingerprint', 'not recorded')}"),
        _line("tools", ", ".join(f"{k} {v}" for k, v in sorted(spec.tools.items()))),
        _line("golden", f"{len(spec.golden)} pictures; every box must give these scores"),
        *(_line("", f"{g.file}  {g.label}  {g.score:.4f}") for g in spec.golden),
    ]
    return "\n".join(lines)


def _line(key: str, value: str) -> str:
    return f"{key:<14}{value}"


def _row(name: str, before: str, after: str) -> str:
    return f"{name:<16}{before:>26}{after:>26}"


def _input(spec: InspectionSpec) -> str:
    input_spec = spec.input
    region = "the whole picture" if input_spec.region is None else f"region {input_spec.region}"
    if input_spec.view is not None:
        view = input_spec.view.to_dict(brief=True)
        region = f"view {json.dumps(view)}, {region}"
    extra = (
        ""
        if input_spec.standardisation == "none"
        else f", {input_spec.standardisation} standardised"
    )
    return (
        f"{region}, {input_spec.resize} resize to {input_spec.width}×{input_spec.height}, "
        f"{input_spec.colour}, 8 bits{extra}"
    )


def _rate(rate: dict[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{rate['k']}/{rate['n']} ({low:.1%}–{high:.1%})"


def _metrics(metrics: dict[str, Any]) -> list[str]:
    # The dictionaries have no schema: another version or another tool may have written the file.
    try:
        low, high = metrics["auroc_interval"]
        return [
            _line("tested on", f"{metrics['n_ok']} good, {metrics['n_defect']} defective pictures"),
            _line("AUROC", f"{metrics['auroc']:.4f} ({low:.3f}–{high:.3f})"),
            _line("escapes", _rate(metrics["escapes"])),
            _line("false rejects", _rate(metrics["false_rejects"])),
            _line("for review", _rate(metrics["reviews"])),
        ]
    except (KeyError, TypeError, ValueError):
        return [_line("metrics", "none that this version can read")]


def _quantisation(quantisation: dict[str, Any]) -> list[str]:
    try:
        score_diff = quantisation["compared"]
        moved = (
            f"AUROC {score_diff['auroc_float']:.4f} to {score_diff['auroc_int8']:.4f}; "
            f"{score_diff['pass_fail_flips']} of {score_diff['pictures']} verdicts flip between "
            f"pass and fail, {score_diff['review_moves']} move into or out of review; "
            f"largest change of a score {score_diff['largest_score_change']:.4f}"
        )
        return [
            _line(
                "quantisation",
                f"{_scheme(quantisation)}, calibrated on "
                f"{quantisation['calibration_pictures']} pictures",
            ),
            _line("from float", moved),
            _line("runtimes", _checked_with(quantisation)),
            *_oldest(quantisation),
        ]
    except (KeyError, TypeError, ValueError):
        return [_line("quantisation", "nothing that this version can read")]


def _scheme(quantisation: dict[str, Any]) -> str:
    scheme = str(quantisation["scheme"])
    return SCHEME_WORDS.get(scheme, scheme)


def _checked_with(quantisation: dict[str, Any]) -> str:
    checked = f"checked with {' and '.join(quantisation['runtimes'])}"
    difference = quantisation["runtime_difference"]
    if difference is not None:
        checked += f", which differ by {difference:.5f}"
    if quantisation.get("kernels", "quickest") != "quickest":
        checked += f"; with {quantisation['kernels']} kernels, which round alike in both"
    return checked


def difference_text(found: ModelDiff) -> str:
    """The pictures that get different verdicts from two models."""
    flips = sum(each.flips for each in found.differing)
    text = (
        f"{len(found.differing)} of {found.pictures} test pictures get different verdicts, {flips} "
        f"of them pass with one model and fail with the other; the largest score change is "
        f"{found.largest_change:.4f}"
    )
    lines = [
        f"A  {found.names[0]}  AUROC {found.aurocs[0]:.4f}",
        f"B  {found.names[1]}  AUROC {found.aurocs[1]:.4f}",
        text,
    ]
    for each in found.differing:
        verdicts = "  ".join(
            f"{name} {outcome:<6} {score:.4f}"
            for name, outcome, score in zip("AB", each.outcomes, each.scores)
        )
        lines.append(f"{verdicts}  {each.sample.file}")
    if found.sheet is not None:
        lines.append(f"contact sheet: {found.sheet}")
    return "\n".join(lines)


def _oldest(quantisation: dict[str, Any]) -> list[str]:
    oldest = quantisation.get("oldest_runtime")
    return [_line("", f"oldest checked runtime: {oldest}")] if oldest else []
