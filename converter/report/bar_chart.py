"""Bars in the conversion report: a table with bars in its cells, and a bar chart."""

from collections.abc import Sequence
from html import escape

# CSS, added to the style of all reports.
STYLE = """
:root{--bar:#2b6ca3}
tr.chosen{background:#e8f3ec}
svg text{font-size:11px;fill:var(--ink)}
svg text.soft{fill:var(--soft)}
svg rect{fill:var(--bar)}
svg.inline{height:6px;min-width:90px;margin-top:2px;background:var(--back)}
.card.flip{border-color:var(--no);border-width:2px}
.card img{width:100%;display:block}
@media (max-width:560px){.chart{overflow-x:auto}.chart svg{min-width:520px}}
@media print{th,td{white-space:normal}}
"""


def bar_table(
    head: Sequence[str], rows: Sequence[Sequence[tuple[str, float]]], bar_columns: Sequence[int]
) -> str:
    """A table of cells (HTML, length). The columns `bar_columns` also draw the length as a bar.

    The bars of a column start at 0; the longest bar fills the cell.
    """
    longest = {at: max((row[at][1] for row in rows), default=0.0) or 1.0 for at in bar_columns}
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = []
    for row in rows:
        cells = [f"<th>{row[0][0]}</th>"]
        for at, (text, length) in enumerate(row[1:], 1):
            parts = ""
            if at in longest:
                bar_width = 100 * length / longest[at]
                parts = (
                    '<svg class="inline" viewBox="0 0 100 10" preserveAspectRatio="none" '
                    f'aria-hidden="true"><rect width="{bar_width:.1f}" height="10"/></svg>'
                )
            cells.append(f"<td>{text}{parts}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def bar_chart(title: str, rows: Sequence[tuple[str, float, str]], caption: str) -> str:
    """A chart with one bar per row: (name, length, text at the end of the bar)."""
    longest = max((length for _, length, _ in rows), default=0) or 1
    row_height, left, right, width = 17, 250, 90, 860
    parts = []
    for at, (name, length, end_text) in enumerate(rows):
        y = at * row_height
        bar_width = max(1.0, length / longest * (width - left - right))
        short = name if len(name) <= 40 else f"…{name[-39:]}"
        parts.append(
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(short)}'
            f"<title>{escape(name)}</title></text>"
            f'<rect x="{left}" y="{y + 3}" width="{bar_width:.1f}" height="{row_height - 6}"/>'
            f'<text class="soft" x="{left + bar_width + 6:.1f}" y="{y + 12}">'
            f"{escape(end_text)}</text>"
        )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {width} {max(1, len(rows)) * row_height + 4}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
