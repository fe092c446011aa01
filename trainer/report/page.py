"""The HTML page of a training or a conversion report: one file that loads nothing."""

from collections.abc import Sequence
from html import escape

from trainer.report.style import STYLE


def page(
    title: str,
    subtitle: str,
    sections: Sequence[str],
    footer: str,
    *,
    extra_style: str = "",
    scripts: bool = False,
) -> str:
    """The page. `sections` are HTML; the other arguments are plain text.

    `extra_style` is CSS that follows the common style. `scripts` allows the scripts inside
    `sections` to run.
    """
    script_policy = "; script-src 'unsafe-inline'" if scripts else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # The policy blocks all requests, even if the name of a picture is an address.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"img-src data:; style-src 'unsafe-inline'{script_policy}\">"
        f"<title>{escape(title)}</title><style>{STYLE}{extra_style}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        + "".join(sections)
        + f"<footer><p>{escape(footer)}</p></footer></main></body></html>\n"
    )


def section(title: str, *content: str, kind: str = "") -> str:
    """A section of the page from pieces of HTML."""
    mark = f' class="{kind}"' if kind else ""
    return f"<section{mark}><h2>{escape(title)}</h2>{''.join(content)}</section>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{escape(text)}</p>"


def figure(chart: str, caption: str) -> str:
    """A chart with its caption."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: int | None = None) -> str:
    """A table of plain text; row `marked` is highlighted. It scrolls on a narrow page."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    chosen = ' class="chosen"'
    body = "".join(
        f"<tr{chosen if at == marked else ''}><th>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for at, row in enumerate(rows)
    )
    html = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{html}</div>'


def tile(value: str, meaning: str) -> str:
    """A figure in large type with its meaning below."""
    return f'<div class="tile"><b>{escape(value)}</b><span>{escape(meaning)}</span></div>'


def tiles(pairs: Sequence[tuple[str, str]]) -> str:
    """Figures in large type, each with its meaning below."""
    inner = "".join(tile(value, meaning) for value, meaning in pairs)
    return f'<div class="tiles">{inner}</div>'
