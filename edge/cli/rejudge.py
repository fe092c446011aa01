"""`edge-inspect rejudge`: what another model, or other thresholds, would have done."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from edge.cli.flip_sheet import write_file, write_flips
from edge.cli.rejudge_comparison import Limits, Rejudge, RejudgeResult
from edge.config import load_config
from edge.core.clock import Clock
from edge.core.errors import EXIT_DONE, EXIT_NO, EdgeInspectError
from edge.core.messages import to_json
from edge.core.output import write_output
from edge.core.text import escape
from edge.core.times import parse_time
from edge.inspection import Inspector, load_model_file
from edge.pipeline import build_inspector

_SCHEMA = "edge-inspect/rejudge/1"
_REASONS = 10  # printed at most


@dataclass(frozen=True, slots=True)
class RejudgeOptions:
    """The options of the command line.

    - `folder`: of pictures; None: the archive.
    - `since`: a time as a person writes it.
    - `sheet`: where the contact sheet of the flips goes.
    """

    folder: Path | None
    since: str | None
    model: Path | None
    reject_at: float | None
    review_from: float | None
    json: Path | None
    sheet: Path


def rejudge(options: RejudgeOptions, config_path: Path) -> int:
    """Prints flips by verdict and label, and counts per day. Exit code 1 when nothing was judged.
    Raises EdgeInspectError."""
    limits = _limits(options)
    config = load_config(config_path, check_files=False)
    since = None
    if options.since is not None:
        since = parse_time(options.since, Clock().now(), "--since")
    folder = options.folder or config.archive.path
    if not folder.is_dir():
        raise EdgeInspectError(
            f"{escape(str(folder))}: there is no such folder; name one of the archive or of "
            "pictures, or set archive.enabled: true"
        )
    cv2.setNumThreads(1)  # as the daemon
    now = build_inspector(config, config_path)
    after = now
    if options.model is not None:
        # The file need not be signed: nothing on the line is judged by it.
        after = build_inspector(config, config_path, load_model_file(options.model))
    thresholds_alone = limits.given and options.model is None
    found = Rejudge(config, limits, now, None if thresholds_alone else after).run(folder, since)
    if options.json is not None:
        write_file(options.json, to_json(_body(found, after, limits)) + b"\n", "--json")
    write_output("\n".join(_lines(found, after, limits)) + "\n")
    if found.flips:
        write_output("\n" + write_flips(found.flips, options.sheet, "--sheet") + "\n")
    return EXIT_DONE if found.comparisons else EXIT_NO


def _limits(options: RejudgeOptions) -> Limits:
    """Raises EdgeInspectError."""
    for name, value in (("reject-at", options.reject_at), ("review-from", options.review_from)):
        if value is not None and not 0 <= value <= 1:
            raise EdgeInspectError(f"--{name}: must be 0 to 1 (got {value:g})")
    if None not in (options.reject_at, options.review_from) and (
        (options.review_from or 0) > (options.reject_at or 0)
    ):
        raise EdgeInspectError(
            f"--review-from {options.review_from:g} is above --reject-at {options.reject_at:g}; "
            "review lies between the two"
        )
    return Limits(options.reject_at, options.review_from)


def _lines(found: RejudgeResult, after: Inspector, limits: Limits) -> list[str]:
    flips = found.flips
    at, identity = limits.over(after.thresholds), after.identity
    count = len(found.comparisons)
    model = f"{identity.name} {identity.version} ({identity.sha256[:12]})"
    where = f"reject_at {at.reject_at:g}, review_from {at.review_from:g}"
    how = f"judged again by {model}"
    if count > found.inferred:
        where, how = _named(limits), "their recorded scores decided again"
        how += f", {found.inferred} without one judged by {model}" if found.inferred else ""
    lines = [f"{count} pictures, {how}: {where}"]
    lines.append(
        f"  {count - len(flips)} the same, {len(flips)} flip; "
        f"{found.same_score} with the same score to the last bit"
    )
    if flips:
        lines += ["", f"{'before':<24} {'after':<24} pictures"]
        lines += [f"{b:<24} {a:<24} {number}" for b, a, number in found.flip_counts()]
    if found.comparisons:
        lines += ["", f"{'day':<11} {'pass':>13} {'review':>13} {'fail':>13} {'flips':>7}"]
    for day, (before, now, flipped) in found.days().items():
        cells = " ".join(f"{_change(before, now, one):>13}" for one in ("pass", "review", "fail"))
        lines.append(f"{day:<11} {cells} {flipped:>7}")
    if found.not_judged:
        lines += ["", f"not judged: {sum(found.not_judged.values())}"]
    for why, number in found.not_judged.most_common(_REASONS):
        lines.append(f"  {number} × {why}" if number > 1 else f"  {why}")
    if len(found.not_judged) > _REASONS:
        lines.append("  …")
    return lines


def _named(limits: Limits) -> str:
    named = (("reject_at", limits.reject_at), ("review_from", limits.review_from))
    return ", ".join(f"{name} {value:g}" for name, value in named if value is not None)


def _change(before: Counter[str], after: Counter[str], verdict: str) -> str:
    return f"{before[verdict]} → {after[verdict]}"


def _body(found: RejudgeResult, after: Inspector, limits: Limits) -> dict[str, Any]:
    at = limits.over(after.thresholds)
    return {
        "schema": _SCHEMA,
        "model": asdict(after.identity),
        "thresholds": {"reject_at": at.reject_at, "review_from": at.review_from},
        "judged": len(found.comparisons),
        "flips": len(found.flips),
        "same_score": found.same_score,
        "table": [
            {"before": before, "after": now, "pictures": count}
            for before, now, count in found.flip_counts()
        ],
        "days": {
            day: {"before": dict(before), "after": dict(now), "flips": flips}
            for day, (before, now, flips) in found.days().items()
        },
        "not_judged": dict(found.not_judged),
        "pictures": [
            {
                "file": escape(str(one.path)),
                "id": one.id,
                "camera": one.camera,
                "day": one.day,
                "flips": one.flips,
                "before": asdict(one.before),
                "after": asdict(one.after),
            }
            for one in found.comparisons
        ],
    }
