"""Bars in the report of a conversion: a table with bars in its cells, and a bar chart."""

from collections.abc import Sequence
from html import escape

# Added to the common style of reports.
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
    head: Sequence[str], rows: Sequence[Sequence[tuple[str, float]]], bars: Sequence[int]
) -> str:
    """A table whose cells are HTML with a length; in the columns `bars` the length is drawn too,
    each column from 0 to its longest."""
    longest = {at: max((row[at][1] for row in rows), default=0.0) or 1.0 for at in bars}
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = []
    for row in rows:
        cells = [f"<th>{row[0][0]}</th>"]
        for at, (text, length) in enumerate(row[1:], 1):
            drawn = ""
            if at in longest:
                wide = 100 * length / longest[at]
                drawn = (
                    '<svg class="inline" viewBox="0 0 100 10" preserveAspectRatio="none" '
                    f'aria-hidden="true"><rect width="{wide:.1f}" height="10"/></svg>'
                )
            cells.append(f"<td>{text}{drawn}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def bars(title: str, rows: Sequence[tuple[str, float, str]], caption: str) -> str:
    """A chart of one bar a row: name, length from 0, and the words at its end."""
    longest = max((length for _, length, _ in rows), default=0) or 1
    high, left, right, width = 17, 250, 90, 860
    drawn = []
    for at, (name, length, estimated) in enumerate(rows):
        y = at * high
        wide = max(1.0, length / longest * (width - left - right))
        short = name if len(name) <= 40 else f"…{name[-39:]}"
        drawn.append(
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(short)}'
            f"<title>{escape(name)}</title></text>"
            f'<rect x="{left}" y="{y + 3}" width="{wide:.1f}" height="{high - 6}"/>'
            f'<text class="soft" x="{left + wide + 6:.1f}" y="{y + 12}">{escape(estimated)}</text>'
        )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {width} {max(1, len(rows)) * high + 4}" '
        f'role="img" aria-label="{escape(title)}">{"".join(drawn)}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
