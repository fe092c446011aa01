"""How cost grows with its cause: cameras, rows that wait, pictures that are kept, time.

    python -m benchmarks.growth --charts docs/pictures
    python -m benchmarks.growth --only outbox,archive --quick

A table for each cause, an SVG chart, and for each cost whether it grows faster than its cause
(benchmarks/growth/rules.py says how that is judged). Needs mosquitto. Exit code 1 when one does.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.growth import archive, cameras, outbox, uptime
from benchmarks.growth.rules import Cost, judge
from tests.support.line_chart import Panel, chart

_FRAMES, _QUICK_FRAMES = 1_000_000, 50_000


def table(cause: str, costs: Sequence[Cost]) -> str:
    """Medians, a row for each size of the cause, in Markdown."""
    sizes = sorted({size for cost in costs for size in cost.at})
    lines = [f"| {cause} | " + " | ".join(cost.name for cost in costs) + " |"]
    lines.append("|---" * (len(costs) + 1) + "|")
    for size in sizes:
        cells = (format(cost.median(size), cost.form) if size in cost.at else "" for cost in costs)
        lines.append(f"| {size:,.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(path: Path, cause: str, costs: Sequence[Cost]) -> None:
    """A panel for each cost. Sizes stand side by side, each the same step from the last, whatever
    lies between them: so what rises in step with its cause bends up, as the second line does."""
    sizes = sorted({size for cost in costs for size in cost.at})
    panels = []
    for cost in costs:
        lines = {"measured": [cost.median(size) for size in sizes]}
        if cost.kind == "whole":
            lines["in step with the cause"] = _in_step(sizes, lines["measured"])
        may = "may rise in step" if cost.kind == "whole" else "must stay level"
        panels.append(Panel(f"{cost.name} ({may})", lines))
    places = [f"{size:,.0f}" for size in sizes]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(chart(cause, range(len(sizes)), panels, places), encoding="utf-8")


def _in_step(sizes: Sequence[float], measured: Sequence[float]) -> list[float]:
    """The straight line from the first to the last: a cost that grows faster lies below it."""
    slope = (measured[-1] - measured[0]) / (sizes[-1] - sizes[0])
    return [measured[0] + slope * (size - sizes[0]) for size in sizes]


def main() -> int:
    """Prints tables and verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="cameras,outbox,archive,uptime")
    parser.add_argument("--charts", type=Path, help="a folder for an SVG file a cause")
    parser.add_argument("--quick", action="store_true", help="small sizes, some minutes in all")
    parser.add_argument(
        "--frames", type=int, help=f"of uptime; {_FRAMES:,}, quick {_QUICK_FRAMES:,}"
    )
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to be used")
    arguments = parser.parse_args()
    quick = arguments.quick
    frames = arguments.frames or (_QUICK_FRAMES if quick else _FRAMES)
    causes: dict[str, tuple[str, Callable[[Path], list[Cost]]]] = {
        "cameras": ("cameras", lambda at: cameras.measure(at, quick=quick)),
        "outbox": ("rows that wait", lambda at: outbox.measure(at, quick=quick)),
        "archive": ("pictures kept", lambda at: archive.measure(at, quick=quick)),
        "uptime": ("frames so far", lambda at: uptime.measure(at, frames)),
    }
    wanted = arguments.only.split(",")
    if unknown := set(wanted) - set(causes):
        parser.error(f"--only: {', '.join(sorted(unknown))}: choose from {', '.join(causes)}")
    good = True
    for name in wanted:
        title, measure = causes[name]
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=f"growth-{name}-") as folder:
            costs = measure(Path(folder))
        print(f"\n## {name}\n\n{table(title, costs)}\n")
        for cost in costs:
            finding = judge(cost)
            good = good and finding.good
            print(f"- {cost.name}: {finding.text}", flush=True)
        if arguments.charts is not None:
            draw(arguments.charts / f"growth-{name}.svg", title, costs)
    print("\nnothing grows faster than its cause" if good else "\nSOMETHING GROWS")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
