"""Logging to stderr: readable in a terminal, with priorities in the journal, and limited in rate so
that an outage cannot flood it."""

import copy
import logging
import os
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

from edge.core.terms import LogLevel

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
_BURST = 5  # lines of one kind that are said at once
_FIRST_GAP_S, _LONGEST_GAP_S = 3600.0, 86_400.0
_KINDS = 512
_CHANGES = re.compile(r"\b[0-9a-f]{4}[0-9a-f-]{4,}\b|\d+")  # ids, counts, times

Kind = tuple[str, str, tuple[str, ...]]


@dataclass(slots=True)
class _Told:
    last: float
    left: int = _BURST
    gap_s: float = _FIRST_GAP_S
    due: float = 0.0
    unsaid: int = 0


class RateLimitedHandler(logging.StreamHandler[TextIO]):
    """Says the first five lines of a kind, then one an hour, two hours, … a day, each with the
    number of those that were left out. A kind that was quiet for its gap begins anew.

    Of one kind are lines of one place in the code whose words are the same but for their numbers.
    """

    def __init__(self, stream: TextIO, tick: Callable[[], float] = time.monotonic) -> None:
        """`tick` is monotonic seconds."""
        super().__init__(stream)
        self._tick = tick
        self._told: OrderedDict[Kind, _Told] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock held."""
        unsaid = self._take(record)
        if unsaid is None:
            return
        if unsaid:
            record = copy.copy(record)  # others may write it too
            record.msg = f"{record.getMessage()} ({unsaid} more like this were not logged)"
            record.args = None
        super().emit(record)

    def _take(self, record: logging.LogRecord) -> int | None:
        """How many of its kind were left out before it; None when it is left out itself."""
        now, kind = self._tick(), _kind(record)
        told = self._told.pop(kind, None)
        if told is None or now - told.last > told.gap_s:
            told = _Told(now, unsaid=told.unsaid if told else 0)
        self._told[kind] = told
        if len(self._told) > _KINDS:
            self._told.popitem(last=False)
        told.last = now
        if told.left:
            told.left -= 1
            if not told.left:
                told.due = now + told.gap_s
        elif now < told.due:
            told.unsaid += 1
            return None
        else:
            told.gap_s = min(_LONGEST_GAP_S, 2 * told.gap_s)
            told.due = now + told.gap_s
        unsaid, told.unsaid = told.unsaid, 0
        return unsaid


def _kind(record: logging.LogRecord) -> Kind:
    args = record.args if isinstance(record.args, tuple) else ()
    # A short word names something, as a camera's id does; in a sentence what changes is a number.
    words = (str(arg) for arg in args if not isinstance(arg, int | float))
    said = tuple(_CHANGES.sub("#", word) if " " in word else word for word in words)
    return record.name, str(record.msg), said


class _JournalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def set_up_logging(level: LogLevel, environ: Mapping[str, str] = os.environ) -> None:
    """One handler on stderr, which no outage floods; under systemd each line carries its
    priority."""
    handler = RateLimitedHandler(sys.stderr)
    if "JOURNAL_STREAM" in environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        form = "%(asctime)s %(levelname)-7s %(message)s"
        handler.setFormatter(logging.Formatter(form, "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
