"""The page around the sections: one HTML file, its style inside, nothing fetched from anywhere."""

from html import escape

from trainer.report.style import STYLE


def page(title: str, subtitle: str, sections: list[str], footer: str) -> str:
    """The whole file. `sections` are HTML; the rest is plain text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # Even if a picture's name were an address, nothing may leave the file.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
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


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of plain text; it scrolls sideways where the page is narrow."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def tile(value: str, meaning: str) -> str:
    """A figure in large type with what it means below."""
    return f'<div class="tile"><b>{escape(value)}</b><span>{escape(meaning)}</span></div>'
