"""What people read: the outcome of a conversion, and what a model file says of itself."""

from typing import Any

from converter.convert import Conversion
from edge.inspection.modelfile import InspectionSpec, ModelFile


def conversion_text(done: Conversion) -> str:
    """The figures of a conversion that passed the gate, and what to do next."""
    judged, compared = done.judged, done.judged.compared
    int8, float32 = judged.int8.as_json(), judged.float32.as_json()
    scheme = done.quantised.as_json()["scheme"]
    made = f"{done.path}: {done.name} {done.version}, {done.size / 1024:.0f} KB"
    at = judged.thresholds
    moved = (
        f"{len(compared.flips)} of {compared.pictures} verdicts flip between pass and fail, "
        f"{compared.review_moves} move into or out of review, "
        f"the largest change of a score is {compared.largest_change:.4f}"
    )
    lines = [
        f"{made}, {scheme}, {judged.milliseconds:.2f} ms a picture here",
        "",
        f"{'test part':<16}{'float32':>26}{'in the file':>26}",
        _row("AUROC", f"{compared.auroc_float:.4f}", f"{compared.auroc_int8:.4f}"),
        _row("escapes", _rate(float32["escapes"]), _rate(int8["escapes"])),
        _row("false rejects", _rate(float32["false_rejects"]), _rate(int8["false_rejects"])),
        _row("for review", _rate(float32["reviews"]), _rate(int8["reviews"])),
        "",
        f"gate passed: {moved}",
        f"thresholds: fail from {at.reject_at:.4f}, review from {at.review_from:.4f}",
        f"{len(judged.golden)} golden pictures inside; {_checked_with(judged.as_json())}",
        "",
        "next: set model.path in config.yaml to this file and run: edge-inspect check",
    ]
    return "\n".join(lines)


def model_text(file: ModelFile) -> str:
    """What a model file says of itself; a plain .tflite says little."""
    lines = [f"{file.path}: {len(file.content) / 1024:.0f} KB, sha256 {file.sha256}"]
    if file.spec is None:
        labels = ", ".join(file.labels) if file.labels else "none"
        return (
            f"{lines[0]}\na plain .tflite (labels: {labels}): "
            "it says nothing of its recipe and thresholds; config.yaml must"
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
        _line("data", f"fingerprint {spec.data.get('fingerprint', 'not recorded')}"),
        _line("tools", ", ".join(f"{k} {v}" for k, v in sorted(spec.tools.items()))),
        _line("golden", f"{len(spec.golden)} pictures, to be judged alike on every box"),
        *(_line("", f"{g.file}  {g.label}  {g.score:.4f}") for g in spec.golden),
    ]
    return "\n".join(lines)


def _line(key: str, value: str) -> str:
    return f"{key:<14}{value}"


def _row(name: str, before: str, after: str) -> str:
    return f"{name:<16}{before:>26}{after:>26}"


def _input(spec: InspectionSpec) -> str:
    recipe = spec.input
    region = "the whole picture" if recipe.region is None else f"region {recipe.region}"
    extra = "" if recipe.standardisation == "none" else f", {recipe.standardisation} standardised"
    return (
        f"{region}, {recipe.resize} resize to {recipe.width}×{recipe.height}, "
        f"{recipe.colour}, 8 bits{extra}"
    )


def _rate(rate: dict[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{rate['k']}/{rate['n']} ({low:.1%}–{high:.1%})"


def _metrics(metrics: dict[str, Any]) -> list[str]:
    # The dictionaries are free-form: a file may come from another version, or from other hands.
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
        compared = quantisation["compared"]
        return [
            _line(
                "quantisation",
                f"{quantisation['scheme']}, calibrated on "
                f"{quantisation['calibration_pictures']} pictures",
            ),
            _line(
                "from float",
                f"AUROC {compared['auroc_float']:.4f} to {compared['auroc_int8']:.4f}; "
                f"{compared['pass_fail_flips']} of {compared['pictures']} verdicts flip between "
                f"pass and fail, {compared['review_moves']} move into or out of review; "
                f"largest change of a score {compared['largest_score_change']:.4f}",
            ),
            _line("runtimes", _checked_with(quantisation)),
        ]
    except (KeyError, TypeError, ValueError):
        return [_line("quantisation", "nothing that this version can read")]


def _checked_with(quantisation: dict[str, Any]) -> str:
    checked = f"checked with {' and '.join(quantisation['runtimes'])}"
    difference = quantisation["runtime_difference"]
    return checked if difference is None else f"{checked}, which differ by {difference:.5f}"
