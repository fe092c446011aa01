"""The contact sheet of the demo: the most confident, the closest and the wrong verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.image import read_picture
from trainer.core import draw_text

Canvas = NDArray[np.uint8]

TILE, CAPTION, GAP, ACROSS = 132, 34, 8, 8
_WHITE, _BLACK, _GREY = (255, 255, 255), (30, 30, 30), (110, 110, 110)
_COLOURS = {"pass": (70, 150, 40), "review": (30, 160, 230), "fail": (40, 40, 210)}


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture with its true label and its verdict."""

    path: Path
    truth: str
    verdict: str
    score: float
    reject_at: float
    review_from: float

    @property
    def wrong(self) -> bool:
        """An escape or a false reject; a review is neither."""
        return self.verdict == ("pass" if self.truth != "ok" else "fail")

    @property
    def margin(self) -> float:
        """The distance of the score from the nearest threshold."""
        return min(abs(self.score - self.reject_at), abs(self.score - self.review_from))


def contact_sheet(judged: Sequence[Judged]) -> Canvas:
    """The sheet: uint8, (height, width, 3), BGR. One row per kind of verdict."""
    right = [j for j in judged if not j.wrong and j.verdict != "review"]
    wrong = sorted((j for j in judged if j.wrong), key=lambda j: -j.margin)
    escapes = [j for j in wrong if j.truth != "ok"]
    false_rejects = [j for j in wrong if j.truth == "ok"]
    rows = [
        ("Most confident, correctly passed", _best([j for j in right if j.verdict == "pass"])),
        ("Most confident, correctly failed", _best([j for j in right if j.verdict == "fail"])),
        ("Closest to a threshold", sorted(judged, key=lambda j: j.margin)[:ACROSS]),
        (f"Escapes: defective, passed ({len(escapes)} in all)", escapes[:ACROSS]),
        (f"False rejects: good, failed ({len(false_rejects)} in all)", false_rejects[:ACROSS]),
    ]
    return np.concatenate([_row(title, tiles) for title, tiles in rows])


def _best(judged: Sequence[Judged]) -> list[Judged]:
    return sorted(judged, key=lambda j: -j.margin)[:ACROSS]


def _row(title: str, tiles: Sequence[Judged]) -> Canvas:
    width = GAP + ACROSS * (TILE + GAP)
    row: Canvas = np.full((28 + TILE + CAPTION + GAP, width, 3), 255, np.uint8)
    draw_text(row, title, (GAP, 20), size=15, colour=_BLACK)
    if not tiles:
        draw_text(row, "none", (GAP, 60), size=15, colour=_GREY)
    for index, tile in enumerate(tiles):
        left = GAP + index * (TILE + GAP)
        row[28 : 28 + TILE + CAPTION, left : left + TILE] = _tile(tile)
    return row


def _tile(judged: Judged) -> Canvas:
    tile: Canvas = np.full((TILE + CAPTION, TILE, 3), 255, np.uint8)
    picture = cv2.resize(read_picture(judged.path), (TILE, TILE), interpolation=cv2.INTER_AREA)
    tile[:TILE] = picture
    cv2.rectangle(tile, (0, 0), (TILE - 1, TILE - 1), _COLOURS.get(judged.verdict, _GREY), 3)
    texts = (f"{judged.verdict}  {judged.score:.3f}", f"truth: {judged.truth}")
    for line, text in enumerate(texts):
        at = (1, TILE + 13 + 15 * line)
        draw_text(tile, text, at, size=13, colour=_BLACK, width=TILE - 2)
    return tile
