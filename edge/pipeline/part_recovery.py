"""Crash recovery of open parts: each part that the last process accepted and never judged gets its
`error` verdict at the start. So every accepted trigger is answered."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from edge.core.clock import Clock
from edge.core.verdict import Verdict
from edge.pipeline.judges import Judges
from edge.storage import PartJournal, SendQueue

log = logging.getLogger(__name__)

REASON = "the daemon was restarted before it was judged"
_PAGE = 500


def verdicts_for_open_parts(
    parts: PartJournal, rows: SendQueue, judges: Judges, clock: Clock
) -> list[Verdict]:
    """The `error` verdicts: one for each part, or for each of its regions without a verdict.

    To be called once, before the first trigger. A part whose verdict is in the outbox gets no
    second one.
    """
    left = parts.still_open()
    if not left:
        return []
    parts.mark_stored(_bodies(rows, min(one.since for one in left)))
    now, tick = clock.now(), clock.tick()
    verdicts = []
    left = parts.still_open()
    for one in left:
        # by the wall clock: the monotonic clock may have restarted
        since = tick - max(0.0, now - one.part.at)
        part = replace(one.part, tick=since, due=since, latest=since, until=since)
        found = judges.of(part.recipe).conclude(part.camera, [], part, REASON)
        verdicts += [v for v in found if v.region not in one.stored_regions]
    if left:
        log.warning("%d parts were open when the last process ended; each gets `error`", len(left))
    return verdicts


def _bodies(rows: SendQueue, after: int) -> Iterator[bytes]:
    while page := rows.batch(after, _PAGE):
        yield from (row.body for row in page)
        after = page[-1].seq
