"""Finds the id of a verdict from a person's input: the whole id, or a unique beginning of it."""

import re
from collections.abc import Iterable
from itertools import islice

from edge.core.errors import RefusedError
from edge.plant.record_values import UnknownRecordError

MIN_DIGITS = 8
_DIGITS = 32
_HEX = re.compile(r"[0-9a-f-]+")
MOST_SHOWN = 3  # of several ids that fit


def digits_of(text: str) -> str:
    """The hexadecimal digits of an id or of its beginning. Raises RefusedError."""
    word = text.strip().lower()
    digits = word.replace("-", "")
    if _HEX.fullmatch(word) is None or not MIN_DIGITS <= len(digits) <= _DIGITS:
        raise RefusedError(
            f"{text[:60]!r} is no id; give the id of a verdict, or at least its first {MIN_DIGITS} "
            "hexadecimal digits, as `edge-inspect history` shows them"
        )
    return digits


def whole_id(digits: str) -> str | None:
    """The id when all its digits are there."""
    if len(digits) != _DIGITS:
        return None
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def times_of(digits: str) -> tuple[float, float]:
    """The first and the last time that ids with this beginning hold, seconds since the epoch."""
    low, high = digits[:12].ljust(12, "0"), digits[:12].ljust(12, "f")
    return int(low, 16) / 1000, int(high, 16) / 1000


def the_only(text: str, digits: str, names: Iterable[str]) -> str:
    """The one id that begins with the digits. Raises RefusedError when there are several, and
    UnknownRecordError when there is none. Takes no more of `names` than it needs."""
    fitting = (name for name in names if name.replace("-", "").startswith(digits))
    found: dict[str, None] = {}
    for name in fitting:
        found[name] = None
        if len(found) > MOST_SHOWN:
            break
    if not found:
        raise UnknownRecordError(unknown(text))
    if len(found) > 1:
        shown = ", ".join(islice(found, MOST_SHOWN))
        more = " and more" if len(found) > MOST_SHOWN else ""
        raise RefusedError(f"{text}: several ids begin so ({shown}{more}); give more digits")
    return next(iter(found))


def unknown(text: str) -> str:
    """The sentence for an id of which nothing is known."""
    return (
        f"{text}: no verdict with this id is remembered and no picture of it is kept; see "
        "edge-inspect history (history.max_mb, history.max_age_d say how far back it goes)"
    )
