"""Writes the contact sheet of the pictures that flip, and other files that a command names."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from edge.cli.contact_sheet import MOST, Tile, contact_sheet
from edge.cli.rejudge_comparison import Comparison
from edge.core.errors import EdgeInspectError
from edge.core.text import escape


def write_flips(flips: Sequence[Comparison], path: Path, option: str) -> str:
    """Writes the sheet of at least one picture. Returns the line that says so. `option`: the one
    that names `path`. Raises EdgeInspectError."""
    tiles = [Tile(one.path, _tile_lines(one)) for one in flips[:MOST]]
    done, data = cv2.imencode(".png", contact_sheet(tiles))
    if not done:
        raise EdgeInspectError(f"{escape(str(path))}: the contact sheet cannot be encoded")
    write_file(path, data.tobytes(), option)
    shown = f"{len(tiles)} of {len(flips)}" if len(flips) > MOST else f"all {len(flips)}"
    return f"contact sheet: {escape(str(path))} ({shown} that flip)"


def write_file(path: Path, data: bytes, option: str) -> None:
    """Raises EdgeInspectError."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise EdgeInspectError(
            f"{escape(str(path))}: cannot be written ({error.strerror}); name another file with "
            f"{option}"
        ) from error


def _tile_lines(one: Comparison) -> tuple[str, str]:
    name = one.id[:18] if one.id else one.path.name[-24:]  # as `history` shows ids
    score = "" if one.after.score is None else f" {one.after.score:.3f}"
    return f"{one.before.verdict} > {one.after.verdict}{score}", name
