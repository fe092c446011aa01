"""`edge-inspect history`: stored verdicts, newest first."""

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from edge.cli.records import open_records
from edge.core.errors import EXIT_DONE
from edge.core.output import write_error, write_output
from edge.core.text import one_line
from edge.core.times import local_time, local_zone
from edge.plant import HistoryEntry, RecordQuery

_BLOCK = 100  # rows whose columns have one width
_ID_SHOWN = 18  # characters that only one verdict begins with, but for one in some thousand
_CSV = (
    *("id", "seq", "captured_at", "station", "camera", "part", "recipe", "verdict", "label"),
    *("score", "truth", "reject_at", "review_from", "model", "version", "sha256", "config"),
    *("reason", "clock_doubtful"),
)


def history(config_path: Path, fields: Mapping[str, str], form: str) -> int:
    """Prints verdicts as `table`, `json` or `csv`. `fields`: the options that were given."""
    query = RecordQuery.read(fields, time.time(), "--")
    records, _ = open_records(config_path)
    limit = query.of_model.limit
    limited = "limit" not in fields and limit is not None
    if limited and limit is not None:  # one more, to know whether there are more
        query = replace(query, of_model=replace(query.of_model, limit=limit + 1))
    found = records.history(query)
    shown = found if not limited else islice(found, limit)
    count = 0
    for text, rows in _printed(shown, form):
        write_output(text)
        count += rows
    if count == 0:
        write_error("edge-inspect: no verdict that is remembered fits")
    elif limited and next(found, None) is not None:
        write_error(
            f"edge-inspect: these are the newest {limit}; there are more: --limit N, 0 for all"
        )
    return EXIT_DONE


def _printed(rows: Iterator[HistoryEntry], form: str) -> Iterator[tuple[str, int]]:
    """Text, and the number of verdicts in it."""
    if form == "table":
        widths: list[int] = []
        while block := list(islice(rows, _BLOCK)):
            cells = [_cells(row) for row in block]
            if not widths:
                cells.insert(0, _head(block[0]))
            yield _table(cells, widths), len(block)
        return
    if form == "csv":
        yield _csv_line(_CSV), 0
    for row in rows:
        if form == "json":
            yield json.dumps(row.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n", 1
        else:
            yield _csv_line(_values(row)), 1


def _head(row: HistoryEntry) -> list[str]:
    zone = local_zone(_captured(row))
    return [f"time ({zone})", "camera", "verdict", "score", "label", "truth", "part", "id"]


def _cells(row: HistoryEntry) -> list[str]:
    body = row.body
    score = body["score"]
    recipe = body.get("recipe")
    part = body["part"] or ""
    return [
        local_time(_captured(row)) + ("?" if row.doubtful else ""),
        body["camera"],
        body["verdict"],
        "" if score is None else f"{score:.4f}",
        (body["label"] or "") + (f" (recipe {recipe['number']})" if recipe else ""),
        row.truth or "",
        part,
        body["id"][:_ID_SHOWN],
    ]


def _captured(row: HistoryEntry) -> float:
    return datetime.fromisoformat(row.body["captured_at"]).timestamp()


def _table(cells: list[list[str]], widths: list[int]) -> str:
    """`widths` grows with the widest cells so far."""
    safe = [[one_line(cell) for cell in line] for line in cells]
    widest = [max(len(cell) for cell in column) for column in zip(*safe, strict=True)]
    widths[:] = [max(pair) for pair in zip(widest, widths or widest, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in safe
    )
    return "".join(f"{line}\n" for line in lines)


def _values(row: HistoryEntry) -> list[Any]:
    body = row.body
    flat = {
        **body,
        **(body["thresholds"] or {}),
        "recipe": (body.get("recipe") or {}).get("number"),
        "truth": row.truth,
        "clock_doubtful": row.doubtful or None,
    }
    model = body["model"] or {}
    flat |= {"model": model.get("name"), "version": model.get("version")}
    flat["sha256"] = model.get("sha256")
    return [flat.get(name) for name in _CSV]


def _csv_line(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow("" if one is None else one for one in values)
    return text.getvalue()
