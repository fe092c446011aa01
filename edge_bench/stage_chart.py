"""Draws the stages of a frame as stacked bars: SVG, for light and dark backgrounds."""

import html
from dataclasses import dataclass
from typing import Any

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _TOP = 860, 190, 90, 18, 6, 78
_STAGES = ("decode", "resize and prepare", "invoke", "the rest")
_STYLE = """
 text { font: 12px sans-serif; fill: #1c1c1c } .title { font-weight: bold; font-size: 14px }
 .ground { fill: #ffffff } .axis { stroke: #999999 } .inside { fill: #ffffff; font-size: 11px }
 .s0 { fill: #0b6e99 } .s1 { fill: #3f7d20 } .s2 { fill: #8a4fae } .s3 { fill: #b5471b }
 @media (prefers-color-scheme: dark) {
  text { fill: #e8e8e8 } .ground { fill: #16191d } .axis { stroke: #777777 }
  .s0 { fill: #2f93c4 } .s1 { fill: #5b9e38 } .s2 { fill: #a873cc } .s3 { fill: #d8693a }
 }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """CPU milliseconds of one frame by stage, in the order of the legend."""

    name: str
    stages: tuple[float, float, float, float]

    @property
    def total(self) -> float:
        """The sum of all stages."""
        return sum(self.stages)


def bars(cell: dict[str, Any]) -> list[Bar]:
    """The bars of one size: bare loop, daemon, plain script.

    The length of a bar is its CPU milliseconds per frame. A stage that the daemon does not measure
    (the camera process decodes) is taken from the bare loop. `the rest` is the remainder.
    """
    if cell["bare"] is None:
        return []
    bare = cell["bare"]["stages_ms"]
    found = [_bar("bare loop", cell["bare"], bare)]
    for daemon in cell["daemon"]:
        name = f"daemon, {daemon['workers']} worker" + ("s" if daemon["workers"] > 1 else "")
        found.append(_bar(name, daemon, bare))
    if cell["by_hand"]:
        found.append(_bar("plain script", cell["by_hand"], bare))
    return found


def _bar(name: str, run: dict[str, Any], bare: dict[str, Any]) -> Bar:
    stages_ms = run["stages_ms"]
    invoke = stages_ms.get("invoke") or stages_ms.get("inference") or bare["invoke"]
    times = [
        (stages_ms.get("decode") or bare["decode"])["p50"],
        (stages_ms.get("prepare") or bare["prepare"])["p50"],
        invoke["p50"],
    ]
    total = max(run["cpu_ms"], 1e-9)
    if sum(times) > total:  # stages are wall-clock times and may include waiting for a core
        times = [time * total / sum(times) for time in times]
    return Bar(name, (times[0], times[1], times[2], total - sum(times)))


def draw(report: dict[str, Any]) -> str:
    """The SVG text. Without a valid run of throughput, it says so."""
    groups = [
        (f"{cell['size']} {cell['format']}, {cell['interpreter']}", found)
        for cell in report.get("throughput", [])
        if (found := bars(cell))
    ]
    height = _TOP + 20 + sum(30 + len(found) * (_BAR + _GAP) for _, found in groups)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>Stages of a frame</title><style>{_STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        '<text class="title" x="16" y="26">CPU milliseconds of one frame</text>',
        *_legend(),
    ]
    if not groups:
        parts.append('<text x="16" y="76">throughput was not measured</text>')
    y = float(_TOP)
    for title, found in groups:
        parts += _group(title, found, y)
        y += 30 + len(found) * (_BAR + _GAP)
    machine = report["machine"]
    footer = f"{machine['processor'] or machine['architecture']}, {report['time']}"
    parts.append(f'<text x="16" y="{height - 8}" opacity="0.7">{html.escape(footer)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _legend() -> list[str]:
    parts, x = [], 16
    for number, name in enumerate(_STAGES):
        parts.append(
            f'<rect class="s{number}" x="{x}" y="40" width="12" height="12"/>'
            f'<text x="{x + 18}" y="51">{name}</text>'
        )
        x += 40 + 8 * len(name)
    return parts


def _group(title: str, found: list[Bar], top: float) -> list[str]:
    """The bars of one size. The longest bar fills the width."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(bar.total for bar in found)
    parts = [f'<text class="title" x="16" y="{top + 14:.0f}">{html.escape(title)}</text>']
    y = top + 24
    bottom = y + len(found) * (_BAR + _GAP)
    parts.append(
        f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{y - 3:.0f}" y2="{bottom - 3:.0f}"/>'
    )
    for bar in found:
        x = float(_LEFT)
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 13:.0f}" text-anchor="end">'
            f"{html.escape(bar.name)}</text>"
        )
        for number, ms in enumerate(bar.stages):
            width = ms * scale
            parts.append(
                f'<rect class="s{number}" x="{x:.1f}" y="{y:.0f}" width="{width:.1f}" '
                f'height="{_BAR}"><title>{_STAGES[number]}: {ms:.3f} ms</title></rect>'
            )
            if width > 40:
                parts.append(
                    f'<text class="inside" x="{x + width / 2:.1f}" y="{y + 13:.0f}" '
                    f'text-anchor="middle">{ms:.2f}</text>'
                )
            x += width
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 13:.0f}">{bar.total:.2f} ms</text>')
        y += _BAR + _GAP
    return parts
