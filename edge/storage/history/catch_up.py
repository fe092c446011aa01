"""Adds the verdicts that only the outbox has: a killed run stored them, and a later run sends them.

The history commits every few seconds, so a kill leaves its last verdicts to the outbox. The same
holds for the first history of a box, and for one that was set aside as damaged.
"""

import logging
from collections.abc import Iterator

from edge.storage.history.database import HistoryDatabase
from edge.storage.history.records import HistoryBody
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.sqlite import OutboxError

log = logging.getLogger(__name__)

_STEP = 500  # rows


def add_outbox_rows(outbox: OutboxReader, into: HistoryDatabase, after: int) -> Iterator[int]:
    """Adds the rows with numbers above `after` in steps, until the outbox has no more. Yields 0
    after each full step. Raises HistoryError when `into` cannot be written, and nothing else.

    Which `archive.pass_sample` was in force is taken from the newest verdict in the history.
    """
    rate = into.newest_rate
    if rate is None:
        rate = into.settings.pass_sample
    added = 0
    try:
        while rows := outbox.batch(after, _STEP):
            added += into.add_late([HistoryBody(row.body, rate) for row in rows])
            if len(rows) < _STEP:
                break
            after = rows[-1].seq
            yield 0
    except OutboxError as error:
        log.error("%s; the history may lack verdicts that wait there", error)
    finally:
        outbox.close()
    if added:
        log.info("history: %d verdicts of the outbox added that it lacked", added)
