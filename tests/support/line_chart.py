"""Line charts of benchmarks as SVG: panels over one common axis."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 760, 150, 70, 30, 60
_COLOURS = ("#0b6e99", "#c2571a", "#3f7d20")


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: its title, with the unit, and its lines by name.

    A line has one value per position on the axis.
    """

    title: str
    lines: Mapping[str, Sequence[float]]


def chart(
    axis: str, x: Sequence[float], panels: Sequence[Panel], places: Sequence[str] = ()
) -> str:
    """The SVG text. All panels share the rising `x`; value axes begin at 0.

    `places` are names for each `x`, instead of numbers along the axis.
    """
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 40} {height}" '
            'font-family="sans-serif" font-size="12" fill="#222">'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, x, _TOP + number * (_HEIGHT + _GAP), places)
    parts.append(
        f'<text x="{_LEFT + _WIDTH}" y="{height - 12}" text-anchor="end">{html.escape(axis)}</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, x: Sequence[float], top: float, places: Sequence[str]) -> list[str]:
    highest = (
        max((value for line in panel.lines.values() for value in line), default=1.0) * 1.1 or 1.0
    )
    first, span = x[0], (x[-1] - x[0]) or 1.0
    parts = [
        f'<text x="{_LEFT}" y="{top - 8}" font-weight="bold">{html.escape(panel.title)}</text>'
    ]
    for step in range(5):
        y = top + _HEIGHT - step * _HEIGHT / 4
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{highest * step / 4:.3g}</text>"
        )
    quarters = [(first + span * step / 4) for step in range(5)]
    marks = zip(x, places) if places else ((at, f"{at:,.0f}") for at in quarters)
    parts += [
        f'<text x="{_LEFT + (at - first) / span * _WIDTH:.1f}" y="{top + _HEIGHT + 16}" '
        f'text-anchor="middle">{html.escape(name)}</text>'
        for at, name in marks
    ]
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(
            f"{_LEFT + (at - first) / span * _WIDTH:.1f},"
            f"{top + _HEIGHT * (1 - value / highest):.1f}"
            for at, value in zip(x, line, strict=True)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{_LEFT + _WIDTH - 150 * number}" y="{top - 8}" text-anchor="end" '
            f'fill="{colour}">{html.escape(name)}</text>'
        )
    return parts
