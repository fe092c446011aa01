"""`edge-train compare`: two runs on the same test set, side by side."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.core.errors import RefusedError
from trainer.data.folder_layout import shortened_list
from trainer.evaluation.finalize import ScoredPicture
from trainer.evaluation.paired import PairedFigure, paired_figures
from trainer.report.run_data import RunData, read_run_data

SCHEMA = "edge-inspect/run-comparison/1"
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs, A and B, and their figures on the same pictures."""

    runs: tuple[RunData, RunData]
    figures: tuple[PairedFigure, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        first = self.runs[0]
        return {
            "schema": SCHEMA,
            "runs": [_run_json(run) for run in self.runs],
            "test": {
                "pictures": len(first.test),
                "defective": int(first.defective.sum()),
                "groups": len({row.group for row in first.test}),
            },
            "figures": {one.name: one.as_json() for one in self.figures},
        }

    def as_text(self) -> str:
        """A table for a terminal."""
        first = self.runs[0]
        counts = f"{len(first.test)} pictures, {int(first.defective.sum())} defective"
        parts = len({row.group for row in first.test})
        lines = [f"{letter}              {_title(run)}" for letter, run in zip("AB", self.runs)]
        lines += [
            f"test set       {counts}, of {parts} groups, the same in both",
            "",
            f"{'':<14} {'A':>13} {'B':>13}   B less A (95 % interval)",
        ]
        lines += [one.as_text() for one in self.figures]
        lines += [
            f"NOT LEARNED    {letter}: its rates mean nothing"
            for letter, run in zip("AB", self.runs)
            if not run.evaluation.learned
        ]
        return "\n".join(lines)


def compare_runs(first: Path, second: Path) -> RunComparison:
    """Reads and compares two folders of runs.

    Raises RefusedError when they were tested on different pictures, and EdgeInspectError for a
    folder that is no run.
    """
    runs = read_run_data(first), read_run_data(second)
    by_content = all(row.sha256 for run in runs for row in run.test)
    rows = _keyed(runs[0], by_content), _keyed(runs[1], by_content)
    _check_same(runs, rows)
    order = sorted(rows[0])
    picked = [[each[key] for key in order] for each in rows]
    figures = paired_figures(
        (_scores(picked[0]), _scores(picked[1])),
        (runs[0].spec.thresholds, runs[1].spec.thresholds),
        np.array([row.label != runs[0].spec.ok_label for row in picked[0]]),
        [row.group for row in picked[0]],
    )
    return RunComparison(runs, figures)


def _keyed(run: RunData, by_content: bool) -> dict[Key, ScoredPicture]:
    """The test pictures by content, or by name in runs of earlier versions.

    A picture that stands twice in the test set has two keys.
    """
    seen: Counter[str] = Counter()
    found = {}
    for row in sorted(run.test, key=lambda row: row.file):
        name = row.sha256 if by_content else row.file
        found[name, seen[name]] = row
        seen[name] += 1
    return found


def _check_same(
    runs: tuple[RunData, RunData], rows: tuple[dict[Key, ScoredPicture], dict[Key, ScoredPicture]]
) -> None:
    problems = [
        f"{len(only)} test pictures only in {run.run}: {shortened_list(only)}"
        for run, own, others in zip(runs, rows, rows[::-1])
        if (only := sorted(row.file for key, row in own.items() if key not in others))
    ]
    relabelled = sorted(
        f"{row.file} ({row.label}, {rows[1][key].label})"
        for key, row in rows[0].items()
        if key in rows[1] and row.label != rows[1][key].label
    )
    if relabelled:
        problems.append(f"{len(relabelled)} have another label: {shortened_list(relabelled)}")
    if problems:
        raise RefusedError(
            f"{runs[0].run} and {runs[1].run} were tested on different pictures, so no difference "
            f"can be trusted; {'; '.join(problems)}. Train again with one test set "
            "(edge-train OLD NEW -o RUN --test-from OLD)"
        )


def _scores(rows: list[ScoredPicture]) -> np.ndarray:
    return np.array([row.score for row in rows], np.float64)


def _title(run: RunData) -> str:
    network = run.spec.training.get("network", "network")
    return f"{run.run}: {run.spec.name}, version {run.spec.version} ({network})"


def _run_json(run: RunData) -> dict[str, Any]:
    return {
        "run": str(run.run),
        "name": run.spec.name,
        "version": run.spec.version,
        "network": run.spec.training.get("network"),
        "learned": run.evaluation.learned,
        "thresholds": run.spec.thresholds.to_dict(),
    }
