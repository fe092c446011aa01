"""`edge-inspect label`: stores a person's label of a verdict, and takes it back."""

import getpass
import os
from pathlib import Path

from edge.cli.records import open_records
from edge.core.errors import EXIT_DONE
from edge.core.output import write_output
from edge.core.text import one_line
from edge.plant import LabelReply, LabelRequest, RequestError, UndoRequest, read_request


def label(config_path: Path, words: list[str], by: str | None, note: str | None) -> int:
    """Labels the verdicts of all `words` but the last, which is the label."""
    if len(words) < 2:
        raise RequestError(
            "label: give the ids and then the label, as in: edge-inspect label ID ID scratch"
        )
    raw = {"ids": words[:-1], "label": words[-1], "by": by or user(), "note": note}
    request = read_request(LabelRequest, raw)
    records, _ = open_records(config_path)
    done = records.label(request)
    _print("is labelled", done)
    return EXIT_DONE


def undo(config_path: Path, ids: list[str], by: str | None, note: str | None) -> int:
    """Takes back the last label of each verdict."""
    request = read_request(UndoRequest, {"ids": ids, "by": by or user(), "note": note})
    records, _ = open_records(config_path)
    _print("is no longer labelled", records.undo(request))
    return EXIT_DONE


def _print(what: str, done: LabelReply) -> None:
    for one in done.labels:
        judged = f" (judged {one.verdict}, camera {one.camera})" if one.verdict else ""
        write_output(one_line(f"{one.id} {what} {one.label}{judged}") + "\n")
    for remark in done.remarks:
        write_output(one_line(f"note: {remark}") + "\n")


def user() -> str:
    """Who typed the command."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
