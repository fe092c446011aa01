"""The page around the sections: one HTML file, its style inside, nothing fetched from anywhere.

It looks like the training report and takes its sections and paragraphs from there.
"""

from collections.abc import Sequence
from html import escape

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--rule:#d9dee5;--paper:#fff;--back:#f3f5f8;--bar:#2b6ca3;
--yes:#1d7a46;--no:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:26px;line-height:1.2;margin:8px 0 2px;overflow-wrap:anywhere}
header p{color:var(--soft);margin:0 0 16px}
section{background:var(--paper);border:1px solid var(--rule);border-radius:8px;
padding:18px 20px;margin:16px 0}
.verdict{border-left:6px solid var(--yes)}
.verdict .answer{font-size:20px;font-weight:600;margin:0 0 6px}
h2{font-size:18px;margin:0 0 10px}
p{margin:8px 0;max-width:72ch;overflow-wrap:anywhere}
.hint{color:var(--soft);font-size:13px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:14px 0}
.tile{border:1px solid var(--rule);border-radius:6px;padding:10px 12px}
.tile b{display:block;font-size:22px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:5px 7px;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--soft);font-weight:500;font-size:13px}
tbody th{font-weight:500}
tr.taken{background:#e8f3ec}
figure{margin:0;min-width:0}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
svg{display:block;width:100%;height:auto}
svg text{font-family:inherit;font-size:11px;fill:var(--ink)}
svg text.soft{fill:var(--soft)}
svg rect{fill:var(--bar)}
svg.inline{height:6px;min-width:90px;margin-top:2px;background:var(--back)}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:12px}
.card{border:1px solid var(--rule);border-radius:6px;padding:8px;break-inside:avoid;min-width:0}
.card.flip{border-color:var(--no);border-width:2px}
.card img{width:100%;aspect-ratio:1;object-fit:contain;background:#e6eaef;display:block}
.card p{font-size:12px;line-height:1.35;margin:6px 0 0}
footer{color:var(--soft);font-size:13px;overflow-wrap:anywhere}
@media (max-width:560px){main{padding:8px 8px 40px}section{padding:14px 12px}
.tiles,.gallery{grid-template-columns:1fr 1fr;gap:8px}table{font-size:13px}th,td{padding:5px 6px}
.chart{overflow-x:auto}.chart svg{min-width:520px}}
@page{margin:14mm}
@media print{body{background:#fff;font-size:11pt}main{max-width:none;padding:0}
section{border:0;border-top:1px solid var(--rule);border-radius:0;padding:10px 0;margin:0}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
h2{break-after:avoid}table,.tile,.card{break-inside:avoid}th,td{white-space:normal}}
"""


def page(title: str, subtitle: str, sections: Sequence[str], footer: str) -> str:
    """The whole file. `sections` are HTML; the rest is plain text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # Even if a picture's name were an address, nothing may leave the file.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        + "".join(sections)
        + f"<footer><p>{escape(footer)}</p></footer></main></body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: int | None = None) -> str:
    """A table of plain text, one row marked; it scrolls sideways where the page is narrow."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    chosen = ' class="taken"'
    body = "".join(
        f"<tr{chosen if at == marked else ''}><th>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for at, row in enumerate(rows)
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


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


def tiles(pairs: Sequence[tuple[str, str]]) -> str:
    """Figures in large type, each with what it means below."""
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escape(value)}</b><span>{escape(meaning)}</span></div>'
            for value, meaning in pairs
        )
        + "</div>"
    )


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
