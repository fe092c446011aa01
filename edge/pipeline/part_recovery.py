"""Parts that the last process accepted and never judged: each gets its `error` verdict at the
start, so that every accepted trigger is answered."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge.core.clock import Clock
from edge.core.verdict import Verdict
from edge.pipeline.judge import Judge
from edge.storage.outbox.records import OutboxRow
from edge.storage.part_journal import PartJournal

log = logging.getLogger(__name__)

REASON = "the daemon was restarted before it was judged"
_PAGE = 500


class StoredRows(Protocol):
    """What waits in the outbox."""

    def batch(self, after: int, limit: int) -> list[OutboxRow]:
        """The oldest rows with a number above `after`, in order."""
        ...


def place_of(outbox: Path, runtime_directory: str | None) -> Path:
    """Where open parts are noted: in systemd's runtime directory where there is one, which is in
    memory and outlives a restart of the service, else beside the outbox."""
    name = f"{outbox.name}.parts"
    if runtime_directory:
        return Path(runtime_directory.split(":")[0]) / name
    return outbox.with_name(name)


def verdicts_for_unjudged(
    parts: PartJournal, rows: StoredRows, judge: Judge, environment: Clock
) -> list[Verdict]:
    """The `error` verdicts, one for each part, or for each of its regions that has none yet.

    To be asked once, before the first trigger. Those whose verdicts the outbox holds get no
    second one.
    """
    left = parts.still_open()
    if not left:
        return []
    parts.mark_stored(_bodies(rows, min(one.since for one in left)))
    now, tick = environment.now(), environment.tick()
    verdicts = []
    left = parts.still_open()
    for one in left:
        # by the wall clock: the monotonic one may have begun anew
        since = tick - max(0.0, now - one.part.at)
        part = replace(one.part, tick=since, due=since, latest=since, until=since)
        found = judge.conclude(part.camera, [], part, REASON)
        verdicts += [v for v in found if v.region not in one.stored_regions]
    if left:
        log.warning("%d parts were open when the last process ended; each gets `error`", len(left))
    return verdicts


def _bodies(rows: StoredRows, after: int) -> Iterator[bytes]:
    while page := rows.batch(after, _PAGE):
        yield from (row.body for row in page)
        after = page[-1].seq
