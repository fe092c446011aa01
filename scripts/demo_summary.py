"""The text at the end of `make demo`: two networks side by side, and what the better one is worth.

It only words figures that edge-train, edge-convert and the subscriber measured.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.contact_sheet import Judged
from trainer.evaluation import auroc
from trainer.evaluation.rates import pictures_needed

PLAIN, PRETRAINED = "plain CNN", "pretrained"
RULE = "─" * 78
ROWS = (
    ("escapes: defective, passed", "escapes"),
    ("false rejects: good, failed", "false_rejects"),
    ("for a person to look at", "reviews"),
)


def validation_auroc(run: Path) -> float:
    """The AUROC of the validation pictures, from a run's scores.json."""
    rows = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    held_out = [row for row in rows if row["part"] == "validation"]
    return auroc([row["score"] for row in held_out], [row["label"] != "ok" for row in held_out])


def test_figures(run: Path) -> dict[str, Any]:
    """The figures of the test set, from a run's evaluation.json."""
    found: dict[str, Any] = json.loads((run / "evaluation.json").read_text("utf-8"))["test"]
    return found


def better(runs: Mapping[str, Path]) -> str:
    """The name of the run with the higher AUROC on validation; one that has not learned loses.

    The test set stays out of the choice: figures that a choice was made by are too good.
    """

    def quality(name: str) -> tuple[bool, float]:
        return bool(test_figures(runs[name])["learned"]), validation_auroc(runs[name])

    return max(runs, key=quality)


def side_by_side(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """A table with a column for each network: rates at its thresholds, with 95 % intervals."""
    shown = list(figures.values())
    lines = [f"{'':<28}" + "".join(f"{name:<25}" for name in figures)]
    ranks = (_with_interval(f"{one['auroc']:.2f}", one["auroc_interval"]) for one in shown)
    lines.append(f"{'AUROC':<28}" + "".join(f"{text:<25}" for text in ranks))
    for title, name in ROWS:
        cells = [_rate(one[name]) if one["learned"] else "not learned" for one in shown]
        lines.append(f"{title:<28}" + "".join(f"{text:<25}" for text in cells))
    return "\n".join(line.rstrip() for line in lines)


def why_wide(figures: Mapping[str, Any], limit: float) -> str:
    """Why the intervals are wide, and what it takes to show the limit."""
    escapes, rejects = figures["escapes"], figures["false_rejects"]
    cells = figures["n_ok"] + figures["n_defect"]
    return (
        f"The intervals (95 %) are wide: the {cells} test cells come from {figures['n_groups']} "
        "modules or rows of modules,\nand cells of one module look alike. The "
        f"{escapes['n']} defective cells count as {escapes['independent']:.0f} independent\n"
        f"ones, the {rejects['n']} good cells as {rejects['independent']:.0f}. To show a limit of "
        f"{100 * limit:g} %, a plant needs {pictures_needed(limit)} independent\n"
        "defective cells without an escape, so pictures of more modules."
    )


def verdict_table(judged: Sequence[Judged]) -> str:
    """The verdicts by truth."""
    counted = Counter((one.truth, one.verdict) for one in judged)
    lines = [f"  {'truth':<10}{'pass':>8}{'review':>8}{'fail':>8}"]
    for truth in sorted({one.truth for one in judged}, key=lambda label: (label != "ok", label)):
        row = (counted[truth, verdict] for verdict in ("pass", "review", "fail"))
        lines.append(f"  {truth:<10}" + "".join(f"{number:>8}" for number in row))
    return "\n".join(lines)


def times_table(times: Mapping[str, float]) -> str:
    """The seconds of each step, and their sum."""
    rows = [*times.items(), ("together", sum(times.values()))]
    width = max(len(name) for name, _seconds in rows)
    return "\n".join(f"  {name:<{width}} {seconds:>6.0f} s" for name, seconds in rows)


def _rate(counted: Mapping[str, Any]) -> str:
    low, high = counted["interval"]
    return f"{counted['k']} of {counted['n']} ({100 * low:.0f}–{100 * high:.0f} %)"


def _with_interval(text: str, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{text} ({low:.2f}–{high:.2f})"
