"""Renders the report as tables for a terminal."""

from collections.abc import Sequence
from typing import Any

Report = dict[str, Any]
_NONE = "-"
_UNSTEADY_RATIO = 1.15  # of the bare loop, fastest round over slowest


def table(report: Report) -> str:
    """One table per measurement, then the problems."""
    blocks = [_head(report)]
    for name, render_section in (
        ("throughput", _throughput),
        ("latency", _latency),
        ("start", _start),
        ("memory", _memory),
        ("rates", _rates),
        ("idle", _idle),
    ):
        if name in report:
            blocks.append(render_section(report[name]))
    blocks.append(_verdict(report))
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks) + "\n"


def _head(report: Report) -> list[str]:
    machine, setup = report["machine"], report["setup"]
    size = "×".join(str(n) for n in setup["input"])
    disk = "on the outbox's disk" if setup["outbox_on_its_disk"] else "NOT on the outbox's disk"
    box = (
        f"{machine['processor'] or machine['architecture']}, {machine['cores']} cores, "
        f"Python {machine['python']}, load {machine['load_before']} before"
    )
    how = (
        f"model {setup['model']}, input {size}, durability {setup['durability']} ({disk}), "
        f"broker {setup['broker']}, median of {setup['rounds']}"
    )
    return [box, how, *setup["notes"]]


def _throughput(cells: list[dict[str, Any]]) -> list[str]:
    rows: list[Sequence[str]] = []
    for cell in cells:
        first = (cell["size"], cell["format"], cell["interpreter"])
        if cell["bare"] is None:
            rows.append((*first, "no valid run", *[""] * 6))
            continue
        bare = cell["bare"]
        scale = f", decoded at 1/{cell['reduced']}" if cell["reduced"] > 1 else ""
        rows.append(
            (
                *first,
                f"bare loop{scale}",
                _number(bare["fps"], 1),
                "",
                _number(bare["cpu_ms"], 2),
                "",
                "",
                "",
            )
        )
        for loops in cell["side_by_side"]:
            rows.append(
                (
                    *first,
                    f"{loops['loops']} bare loops at once",
                    *(_number(loops["fps"], 1), "", _number(loops["cpu_ms"], 2), "", ""),
                    _number(loops["fps_to_bare"], 2),
                )
            )
        one = cell["daemon"][0]["workers"] == 1
        for daemon in cell["daemon"]:
            workers = daemon["workers"]
            rows.append(
                (
                    *first,
                    f"daemon, {workers} worker{'s' if workers > 1 else ''}",
                    _number(daemon["fps"], 1),
                    _number(daemon["fps_to_bare"], 2),
                    _number(daemon["cpu_ms"], 2),
                    _number(daemon["cpu_to_bare"], 2),
                    _number(daemon["fps_to_by_hand"], 2),
                    _number(daemon["fps_to_first"], 2) if one and workers > 1 else "",
                )
            )
        if cell["by_hand"]:
            hand = cell["by_hand"]
            rows.append(
                (*first, "plain script", _number(hand["fps"], 1), "", _number(hand["cpu_ms"], 2))
            )
    heads = ("size", "format", "interpreter", "", "frames/s", "× bare", "CPU ms/frame", "× bare",
             "× plain", "× one")  # fmt: skip
    title = "Throughput: verdicts stored, sent with QoS 1 and acknowledged"
    warnings = [text for cell in cells if (text := _speed_warning(cell))]
    return [title, *_aligned(heads, rows, 4), *warnings, "", *_stages(cells)]


def _speed_warning(cell: dict[str, Any]) -> str:
    """A warning when the bare loop ran at different speeds; empty when it was steady."""
    fps = [run["bare"]["fps"] for run in cell["rounds"]]
    if not fps or max(fps) < _UNSTEADY_RATIO * min(fps):
        return ""
    return (
        f"{cell['size']} {cell['format']}: the bare loop ran at "
        f"{min(fps):,.0f} to {max(fps):,.0f} frames/s in different rounds. This machine changes "
        "its speed: its ratios, measured in turns, are more reliable than its absolute times"
    )


def _stages(cells: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            *(cell["size"], cell["format"], cell["interpreter"], candidate, name),
            *(_number(spread[q], 3) for q in ("p50", "p95", "p99")),
        )
        for cell in cells
        for candidate, run in _runs(cell)
        for name, spread in run["stages_ms"].items()
    ]
    heads = ("size", "format", "interpreter", "", "stage", "p50", "p95", "p99")
    return ["Stages of one frame, ms", *_aligned(heads, rows, 5)]


def _runs(cell: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [("bare", cell["bare"]), *((f"daemon {d['workers']}", d) for d in cell["daemon"])]
    return [(candidate, run) for candidate, run in [*found, ("plain", cell["by_hand"])] if run]


def _latency(cells: list[dict[str, Any]]) -> list[str]:
    rows = []
    for cell in cells:
        ms, over = cell["ms"] or {}, cell["over_bare_paced_ms"] or {}
        rows.append(
            (
                cell["source"],
                cell["durability"],
                str(cell["frames"]),
                *(_number(ms.get(q), 2) for q in ("p50", "p95", "p99")),
                *(_number(over.get(q), 2) for q in ("p50", "p95", "p99")),
            )
        )
    first = cells[0]
    title = (
        f"Frame available → PUBLISH at the socket, ms, {first['size']} at {first['rate']:g}/s; "
        f"bare work {first['bare_paced_ms']:.2f} ms at this rate ({first['bare_ms']:.2f} at full "
        f"speed)"
    )
    heads = ("source", "durability", "frames", "p50", "p95", "p99", "p50 − bare", "p95 − bare",
             "p99 − bare")  # fmt: skip
    flush = first["flush_ms"]
    disk = (
        f"The outbox's disk takes {flush['p50']:.2f} ms to flush one page (p95 {flush['p95']:.2f}, "
        f"p99 {flush['p99']:.2f}); strict waits for it"
    )
    return [title, *_aligned(heads, rows, 2), disk]


def _start(cells: list[dict[str, Any]]) -> list[str]:
    rows = [
        (c["source"], _number(c["ready_s"], 3), _number(c["first_verdict_s"], 3)) for c in cells
    ]
    title = f"Start, s after the start of the process, one {cells[0]['size']} camera"
    return [title, *_aligned(("source", "READY", "first verdict"), rows, 1)]


def _memory(cells: list[dict[str, Any]]) -> list[str]:
    rows = []
    before: dict[str, Any] | None = None
    for cell in cells:
        more = _NONE
        if before and None not in (cell["steady_mb"], before["steady_mb"]):
            added = cell["cameras"] - before["cameras"]
            more = _number((cell["steady_mb"] - before["steady_mb"]) / added, 1)
        rows.append(
            (
                str(cell["cameras"]),
                *(_number(cell[key], 1) for key in ("steady_mb", "peak_mb")),
                more,
                _number(cell["steady_alone_mb"], 1),
            )
        )
        before = cell
    title = (
        f"Memory, MB (PSS over all processes), live {cells[0]['size']} cameras at "
        f"{cells[0]['rate']:g}/s"
    )
    heads = ("cameras", "steady", "peak", "per extra camera", "steady, nothing shared")
    return [title, *_aligned(heads, rows, 0)]


def _rates(cells: list[dict[str, Any]]) -> list[str]:
    rows = [
        (f"{c['rate']:g}", _number(c["frames_s"], 2), _number(c["cpu_percent"], 2)) for c in cells
    ]
    title = f"CPU, per cent of one core, one live {cells[0]['size']} camera"
    return [title, *_aligned(("frames/s", "judged/s", "CPU %"), rows, 0)]


def _idle(cells: list[dict[str, Any]]) -> list[str]:
    source_names = {"folder": "an empty folder", "trigger": "a camera, no trigger"}
    keys = ("cpu_percent", "wakeups_s", "daemon_cpu_percent", "daemon_wakeups_s")
    rows = [(source_names[c["source"]], *(_number(c[key], 2) for key in keys)) for c in cells]
    heads = ("nothing to judge", "CPU %", "wake-ups/s", "main CPU %", "main wake-ups/s")
    return [
        "Idle, all processes, and the main process alone",
        *_aligned(heads, rows, 1),
    ]


def _verdict(report: Report) -> list[str]:
    problems = report["problems"]
    if not problems:
        return [f"Every run was valid: no errors, no missing verdicts. {report['seconds']:g} s"]
    return [f"{len(problems)} runs were INVALID and are left out:", *problems]


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:,.{digits}f}"


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The rows with aligned columns: the first `texts` to the left, the others to the right."""
    full = [[*row, *[""] * (len(heads) - len(row))] for row in [heads, *rows]]
    widths = [max(len(row[at]) for row in full) for at in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if at < texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths))
        )
        for row in full
    ]
