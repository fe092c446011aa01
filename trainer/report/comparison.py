"""The section that compares the network with the baseline, other candidates and other seeds."""

from typing import Any

from trainer.evaluation.intervals import auroc_gain
from trainer.report.page import paragraph, section, table
from trainer.report.run_data import RunData


def comparison_section(run_data: RunData) -> str:
    """The comparisons; empty without any."""
    content = [*_baseline(run_data), *_candidates(run_data.candidates), *_seeds(run_data.seeds)]
    return section("Compared with other networks", *content) if content else ""


def _baseline(run_data: RunData) -> list[str]:
    plain = run_data.baseline
    if plain is None:
        return []
    rows = []
    for name, run in (("this network", run_data), ("plain CNN", plain)):
        evaluation = run.evaluation
        low, high = evaluation.auroc_interval
        network = str(run.spec.training.get("network", "network"))
        rows.append(
            [
                f"{name}: {network}",
                f"{evaluation.auroc:.3f} ({low:.3f} to {high:.3f})",
                f"{evaluation.average_precision:.3f}",
                _counted(run, "escapes"),
                _counted(run, "false_rejects"),
            ]
        )
    found = [
        table(["", "AUROC, 95 %", "avg. precision", "escapes", "false rejects"], rows),
    ]
    if [row.file for row in plain.test] == [row.file for row in run_data.test]:
        gain, (low, high) = auroc_gain(
            run_data.scores, plain.scores, run_data.defective, [row.group for row in run_data.test]
        )
        surely = "surely better" if low > 0 else "surely worse" if high < 0 else "not surely better"
        found.append(
            paragraph(
                f"On the same pictures its AUROC is higher by {gain:.3f} (95 % interval {low:.3f} "
                f"to {high:.3f}): {surely} than the plain CNN."
            )
        )
    return found


def _counted(run: RunData, name: str) -> str:
    if not run.evaluation.learned:
        return "not learned"
    rate = run.evaluation.escapes if name == "escapes" else run.evaluation.false_rejects
    return f"{rate.k} of {rate.n}"


def _candidates(found: dict[str, Any]) -> list[str]:
    entries = found.get("candidates")
    if not isinstance(entries, list) or not entries:
        return []
    rows = []
    for entry in entries:
        validation = entry.get("validation", {})
        rows.append(
            [
                str(entry.get("title", "?")) + (" – chosen" if entry.get("recommended") else ""),
                _number(validation.get("auroc"), ".3f"),
                _number(validation.get("recall"), ".0%"),
                _number(entry.get("milliseconds"), ".2f"),
                _number(entry.get("parameters"), ",d"),
            ]
        )
    limit = entries[0].get("validation", {}).get("at_false_reject")
    recall = "recall" if limit is None else f"recall at {100 * limit:g} % false rejects"
    return [
        "<h3>Candidates</h3>",
        table(["on the validation set", "AUROC", recall, "ms, int8, here", "parameters"], rows),
        paragraph(str(found.get("why", "")), "hint"),
    ]


def _seeds(found: dict[str, Any]) -> list[str]:
    by_seed, spread = found.get("by_seed"), found.get("spread")
    if not by_seed or not spread:
        return []
    rows = [
        [f"seed {seed}", f"{one['auroc']:.3f}", f"{one['average_precision']:.3f}"]
        for seed, one in by_seed.items()
    ]
    for row in ("mean", "deviation"):
        rows.append([row, *(f"{spread[name][row]:.3f}" for name in ("auroc", "average_precision"))])
    return [
        "<h3>The same settings from other seeds</h3>",
        table(["on the test set", "AUROC", "avg. precision"], rows),
        paragraph("The seed alone changes these figures. The model to use is the first.", "hint"),
    ]


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "–"
