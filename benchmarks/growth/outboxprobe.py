"""One process with an outbox of so many rows: what a start, a commit, a look and the publisher's
batch cost. Leaves as many rows as it found. Prints JSON, seconds and bytes."""

import argparse
import json
import os
import time
from pathlib import Path

from benchmarks.growth import processes
from benchmarks.growth.probe import cpu_of
from edge.core.clock import Clock
from edge.core.messages import stored_body
from edge.storage import OutboxStore, OutboxWriter
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from tests.support.verdicts import a_verdict

MAX_BYTES, MAX_AGE_S = 2**33, 1e9
_TIMES, _BATCH, _FILL = 200, 20, 5000


def fill(path: Path, rows: int) -> None:
    """Until so many rows wait, through the code that stores verdicts."""
    store = OutboxStore(path, MAX_BYTES, MAX_AGE_S, Clock())
    first = store.first
    holding = store.file_stats()
    assert holding is not None, store.fault
    last = first + max(0, rows - holding.rows)
    for begin in range(first, last, _FILL):
        numbers = range(begin, min(last, begin + _FILL))
        some = [
            OutboxRow(seq, store.operating_time(), stored_body(a_verdict(), seq)) for seq in numbers
        ]
        store.apply(OutboxChanges(rows=some))
    store.numbers.settle()
    store.close()


class Commits:
    """Stores a row and forgets the oldest: as many wait as before."""

    def __init__(self, store: OutboxStore, writer: OutboxWriter) -> None:
        self._store = store
        oldest = writer.send_queue.batch(0, 1)
        self._next, self._oldest = store.first, [oldest[0].seq] if oldest else []

    def one(self) -> None:
        """One commit."""
        row = OutboxRow(
            self._next, self._store.operating_time(), stored_body(a_verdict(), self._next)
        )
        self._next += 1
        self._oldest = [self._store.apply(OutboxChanges(rows=[row], accepted=self._oldest)).oldest]

    def leave(self) -> None:
        """Forgets the one row too many that an empty outbox was given."""
        holding = self._store.file_stats()
        if holding is not None and holding.rows == 1:
            self._store.apply(OutboxChanges(accepted=self._oldest))


def measure(path: Path) -> dict[str, float]:
    """The figures."""
    clock, cpu = time.monotonic(), time.thread_time()
    store = OutboxStore(path, MAX_BYTES, MAX_AGE_S, Clock())
    writer = OutboxWriter(store, Clock())
    found = {"start_s": time.monotonic() - clock, "start": time.thread_time() - cpu}
    commits = Commits(store, writer)
    commits.one()
    clock = time.monotonic()
    found["commit"] = cpu_of(commits.one, _TIMES)
    found["commit_s"] = (time.monotonic() - clock) / _TIMES
    found["look"] = cpu_of(lambda: (store.file_stats(), writer.stats()), _TIMES)
    at = 0

    def batch() -> None:
        nonlocal at
        rows = writer.send_queue.batch(at, _BATCH)
        at = rows[-1].seq if rows else 0

    batch()
    found["batch"] = cpu_of(batch, _TIMES)
    found["memory"] = processes.own_memory(os.getpid())
    holding = store.file_stats()
    assert holding is not None
    found["bytes"] = holding.bytes / max(1, holding.rows)
    commits.leave()
    writer.send_queue.close()
    store.numbers.settle()
    store.close()
    return found


def main() -> None:
    """Fills, or measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path)
    print(json.dumps(measure(parser.parse_args().path)))


if __name__ == "__main__":
    main()
