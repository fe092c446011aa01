"""An outbox store with injected disk faults."""

import threading
from pathlib import Path

from edge.core.clock import Clock
from edge.storage.outbox.records import CommitResult, OutboxChanges
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.sqlite import OutboxError
from edge.storage.outbox.store import OutboxStore

DEADLINE_S = 20.0


class BalkingStore(OutboxStore):
    """A real outbox that refuses the next `refusals` commits, or waits for `gate`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 2**26, 3600.0, Clock())
        self.refusals = 0
        self.commits: list[tuple[int, int]] = []
        self.rebuilds = False
        self.gate = threading.Event()
        self.gate.set()

    def apply(self, changes: OutboxChanges, hooks: RebuildHooks | None = None) -> CommitResult:
        """As the real one, when the disk lets it."""
        if self.rebuilds and hooks is not None:
            hooks.on_progress()
        assert self.gate.wait(DEADLINE_S)
        if self.refusals > 0:
            self.refusals -= 1
            raise OutboxError("the disk is full", "refused")
        applied = super().apply(changes, hooks)
        self.commits.append((len(changes.rows), len(changes.accepted)))
        return applied
