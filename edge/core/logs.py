"""Logging to stderr: plain in a terminal, with priorities in the journal, limited in rate so that
an outage does not flood it."""

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

from edge.core.output import traceback_lines
from edge.core.redaction import redact
from edge.core.terms import LogLevel
from edge.core.text import one_line

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
_BURST = 5  # lines of one kind that are written at once
_FIRST_GAP_S, _LONGEST_GAP_S = 3600.0, 86_400.0
_MAX_KINDS = 512
_VARIABLE = re.compile(r"\b[0-9a-f]{4}[0-9a-f-]{4,}\b|\d+")  # ids, counts, times

Kind = tuple[str, str, tuple[str, ...]]


@dataclass(slots=True)
class _KindState:
    """Times in monotonic seconds."""

    last: float  # the last line, written or not
    left: int = _BURST  # lines that may be written at once
    gap_s: float = _FIRST_GAP_S
    due: float = 0.0  # the next line, when none is left
    suppressed: int = 0


class RateLimitedHandler(logging.StreamHandler[TextIO]):
    """Writes the first five lines of a kind, then one after an hour, two hours, … a day, each with
    the number of suppressed lines. A kind without lines for its gap starts again.

    Lines are of one kind when they come from one place in the code and differ only in numbers.
    """

    def __init__(self, stream: TextIO, tick: Callable[[], float] = time.monotonic) -> None:
        """`tick` is monotonic seconds."""
        super().__init__(stream)
        self._tick = tick
        self._kinds: OrderedDict[Kind, _KindState] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock held."""
        suppressed = self._take(record)
        if suppressed is None:
            return
        if suppressed:
            record = copy.copy(record)  # other handlers get the original
            record.msg = f"{record.getMessage()} ({suppressed} more like this were not logged)"
            record.args = None
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Drops a line that cannot be written: on a full disk, or after a pipe was closed."""

    def _take(self, record: logging.LogRecord) -> int | None:
        """How many lines of its kind were suppressed before it; None: it is suppressed too."""
        now, kind = self._tick(), _kind(record)
        state = self._kinds.pop(kind, None)
        if state is None or now - state.last > state.gap_s:
            state = _KindState(now, suppressed=state.suppressed if state else 0)
        self._kinds[kind] = state
        if len(self._kinds) > _MAX_KINDS:
            self._kinds.popitem(last=False)
        state.last = now
        if state.left:
            state.left -= 1
            if not state.left:
                state.due = now + state.gap_s
        elif now < state.due:
            state.suppressed += 1
            return None
        else:
            state.gap_s = min(_LONGEST_GAP_S, 2 * state.gap_s)
            state.due = now + state.gap_s
        suppressed, state.suppressed = state.suppressed, 0
        return suppressed


def _kind(record: logging.LogRecord) -> Kind:
    args = record.args if isinstance(record.args, tuple) else ()
    # A single word is a name, such as a camera's id; in a sentence only numbers vary.
    words = (str(arg) for arg in args if not isinstance(arg, int | float))
    texts = tuple(_VARIABLE.sub("#", word) if " " in word else word for word in words)
    return record.name, str(record.msg), texts


class LineFormatter(logging.Formatter):
    """Writes each record as one line, without secrets. The lines of a traceback follow, indented.

    No value can forge a line, colour the terminal or reorder the text: its control characters are
    escaped. `priorities`: each line starts with its priority, as the journal reads it.
    """

    def __init__(
        self, form: str, date_form: str | None = None, *, priorities: bool = False
    ) -> None:
        super().__init__(form, date_form)
        self._priorities = priorities

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        record.message = one_line(redact(record.message))
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info and (error := record.exc_info[1]) is not None:
            lines += [f"  {one_line(redact(line))}" for line in traceback_lines(error)]
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>" if self._priorities else ""
        return "\n".join(prefix + line for line in lines)


def set_up_logging(level: LogLevel, environ: Mapping[str, str] = os.environ) -> None:
    """Installs one handler on stderr. Under systemd each line starts with its priority."""
    handler = RateLimitedHandler(sys.stderr)
    if "JOURNAL_STREAM" in environ:
        handler.setFormatter(LineFormatter("%(message)s", priorities=True))
    else:
        handler.setFormatter(LineFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
