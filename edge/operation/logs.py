"""Logging to stderr: readable in a terminal, with priorities in the journal."""

import logging
import os
import sys
from collections.abc import Mapping

from edge.config.schema import Level
from edge.operation.quiet import QuietHandler

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _JournalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def set_up_logging(level: Level, environ: Mapping[str, str] = os.environ) -> None:
    """One handler on stderr, which no outage floods; under systemd each line carries its
    priority."""
    handler = QuietHandler(sys.stderr)
    if "JOURNAL_STREAM" in environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        form = "%(asctime)s %(levelname)-7s %(message)s"
        handler.setFormatter(logging.Formatter(form, "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
