"""Points in time that a person writes, as in `--since 2h`."""

import re
from datetime import UTC, datetime, timedelta

from edge.core.errors import EdgeInspectError

FORMS = "2026-11-30, 2026-11-30T14:00, 2026-11-30T14:00:00Z, today, yesterday, or 90m, 8h, 7d ago"

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_EPOCH = re.compile(r"\d{9,11}(\.\d+)?")


class TimeError(EdgeInspectError):
    """A time in the wrong form."""


def parse_time(text: str, now: float, name: str) -> float:
    """Seconds since the epoch. A time without a zone is local. Raises TimeError.

    now: seconds since the epoch. name: of the option, for the message.
    """
    word = text.strip()
    try:
        if (ago := _AGO.fullmatch(word.lower())) is not None:
            return now - int(ago[1]) * _SECONDS[ago[2]]
        if _EPOCH.fullmatch(word):
            return float(word)
        if word.lower() in ("today", "yesterday"):
            day = _local(now).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
            return (day - timedelta(days=word.lower() == "yesterday")).timestamp()
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError, OSError):
        raise TimeError(f"{name}: must be a time such as {FORMS} (got {text[:60]!r})") from None


def local_time(epoch_s: float) -> str:
    """Date and time of day on this machine, to the second."""
    return _local(epoch_s).strftime("%Y-%m-%d %H:%M:%S")


def local_zone(epoch_s: float) -> str:
    """The time zone of `local_time`, such as CET."""
    return _local(epoch_s).strftime("%Z")


def _local(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC).astimezone()
