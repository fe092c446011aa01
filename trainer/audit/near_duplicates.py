"""Pairs of pictures of one part, with a description of what differs between the two."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from trainer.audit.alignment import Alignment
from trainer.audit.findings import Duplicate
from trainer.audit.pose import in_words
from trainer.audit.scan import ScannedPicture

Rows = tuple[int, int]

MAX_CHANGED_WORST = 0.3  # correlation of the worst place of a picture changed in one place
MAX_CHANGED_RESIDUAL = 0.98
MAX_BRIGHTNESS_DIFFERENCE = 6.0  # grey levels
MAX_CONTRAST_RATIO = 1.12
MIN_SAME_DETAIL = 0.97


def exact_duplicates(scanned: Sequence[ScannedPicture]) -> list[tuple[Rows, Duplicate]]:
    """Pairs of pictures with equal pixels."""
    by_pixels: dict[bytes, list[int]] = defaultdict(list)
    for row, one in enumerate(scanned):
        by_pixels[one.pixel_hash].append(row)
    found = []
    for rows in by_pixels.values():
        for pair in _pairs(scanned, rows):
            one, other = (scanned[row] for row in pair)
            same = one.file_hash == other.file_hash
            how = "the same bytes" if same else "the same pixels in another file"
            found.append((pair, _duplicate(one, other, how, 1.0, certain=True, exact=True)))
    return found


def near_duplicates(
    scanned: Sequence[ScannedPicture], near: Mapping[Rows, Alignment]
) -> list[tuple[Rows, Duplicate]]:
    """Pairs of aligned pictures that agree."""
    found = []
    for pair, match in sorted(near.items()):
        one, other = (scanned[row] for row in pair)
        changed = match.worst < MAX_CHANGED_WORST and match.residual < MAX_CHANGED_RESIDUAL
        how = _how(one, other, match)
        if changed:
            how += ", but one place differs"
        duplicate = _duplicate(
            one, other, how, match.residual, certain=match.certain, changed=changed
        )
        found.append((pair, duplicate))
    return found


def _pairs(scanned: Sequence[ScannedPicture], rows: list[int]) -> list[Rows]:
    """The first row with every other one, plus the first rows of each side and label in pairs.

    A thousand equal pictures thus give a thousand pairs, not half a million.
    """
    pairs = {(rows[0], row) for row in rows[1:]}
    heads: dict[tuple[str, str], int] = {}
    for row in rows:
        head = heads.setdefault((scanned[row].item.side, scanned[row].item.label), row)
        if head != row:
            pairs.add((head, row))
    first = sorted(heads.values())
    pairs.update((low, high) for low in first for high in first if low < high)
    return sorted(pairs)


def _duplicate(
    one: ScannedPicture,
    other: ScannedPicture,
    how: str,
    likeness: float,
    *,
    certain: bool,
    exact: bool = False,
    changed: bool = False,
) -> Duplicate:
    # `file` names the picture in train: people remove that one.
    if one.item.side == "test" and other.item.side != "test":
        one, other = other, one
    same = one.item.label == other.item.label
    return Duplicate(one.item.file, other.item.file, how, likeness, exact, certain, changed, same)


def _how(one: ScannedPicture, other: ScannedPicture, match: Alignment) -> str:
    changes = in_words(match.pose, (one.width, one.height), (other.width, other.height))
    if match.overlap < 0.85 and not any(word.startswith("rotated") for word in changes):
        changes.append("shifted or cropped")
    low, high = sorted((one.lighting.contrast, other.lighting.contrast))
    difference = abs(one.lighting.brightness - other.lighting.brightness)
    if difference > MAX_BRIGHTNESS_DIFFERENCE or high > MAX_CONTRAST_RATIO * (low + 1):
        changes.append("re-exposed")
    elif match.detail < MIN_SAME_DETAIL and not changes:
        changes.append("the same scene again")
    return ", ".join(changes) or "the same picture saved again (re-compressed)"
