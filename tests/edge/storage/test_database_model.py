"""The outbox's file against the simplest thing that could be right: a list."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.core.messages import stored_body
from edge.storage.outbox.database import PAGE, OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from edge.storage.outbox.sqlite import OutboxError
from tests.support.verdicts import a_verdict

pytestmark = pytest.mark.slow

MAX_BYTES, MAX_AGE_S = 128 * 1024, 100.0


@dataclass
class Kept:
    """What the list knows of a row."""

    row: OutboxRow
    parked: bool = False


class OutboxMachine(RuleBasedStateMachine):
    """Any order of storing, accepting, parking, failing, ageing, closing and opening again."""

    @initialize()
    def start(self) -> None:
        """Both empty."""
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.db"
        self.outbox = OutboxDatabase(self.path, MAX_BYTES, MAX_AGE_S)
        self.view = OutboxReader(self.path)
        self.clock = 1.0
        self.last = self.largest = 0
        self.kept: list[Kept] = []
        self.receipts: set[str] = set()

    def teardown(self) -> None:
        """Files away."""
        if hasattr(self, "folder"):
            self.view.close()
            self.outbox.close()
            self.folder.cleanup()

    @rule(
        sizes=st.lists(st.integers(0, 6000), max_size=6),
        skipped=st.integers(0, 3),
        accept=st.lists(st.integers(0, 40), max_size=6),
        park=st.lists(st.integers(0, 40), max_size=3),
        passed=st.sampled_from([0.0, 1.0, 40.0]),
    )
    def apply(
        self, sizes: list[int], skipped: int, accept: list[int], park: list[int], passed: float
    ) -> None:
        """A commit: rows are addressed by how far they stand behind the newest; numbers may have
        gaps. Which rows go for the cap is the outbox's to say; they must be the oldest."""
        self.clock += passed
        first = self.last + 1 + skipped
        rows = [
            OutboxRow(seq, self.clock, stored_body(a_verdict(part="é" * size), seq))
            for seq, size in enumerate(sizes, first)
        ]
        self.largest = max(self.largest, sum(len(row.body) + 2 * PAGE for row in rows))
        receipts = [("top", f"{row.seq}") for row in rows]
        accepted = {self.last - behind for behind in accept}
        parked = {self.last - behind for behind in park}
        applied = self.outbox.apply(
            OutboxChanges(
                rows=rows,
                receipts=receipts,
                accepted=sorted(accepted),
                parked=[(seq, "refused") for seq in parked],
            ),
            self.clock,
        )
        everything = [*self.kept, *(Kept(row) for row in rows)]
        left = [one for one in everything if one.row.seq not in accepted]
        assert applied.acked == len(everything) - len(left)
        for one in left:
            one.parked = one.parked or one.row.seq in parked
        young = [one for one in left if one.row.stored_at >= self.clock - MAX_AGE_S]
        gone = [one.row.seq for one in left[: len(left) - len(young)]]
        assert list(applied.over_age) == gone
        numbers = [one.row.seq for one in young]
        count = len(applied.over_cap)
        assert list(applied.over_cap) == numbers[:count]
        assert not young or count < len(young)  # the newest stays
        self.kept = young[count:]
        assert applied.oldest == (self.kept[0].row.seq if self.kept else 0)
        self.last = max([self.last, *(row.seq for row in rows)])
        self.receipts |= {receipt for _, receipt in receipts}

    @rule(accept=st.lists(st.integers(0, 5), max_size=3))
    def fail(self, accept: list[int]) -> None:
        """A commit that fails in its middle changes nothing, which the invariants see."""
        rows = [OutboxRow(self.last + 1, self.clock, stored_body(a_verdict(), self.last + 1))]
        bad: list[Any] = [("top", "never"), ("top", ["no text"])]
        try:
            self.outbox.apply(
                OutboxChanges(rows=rows, receipts=bad, accepted=[self.last - n for n in accept]),
                self.clock,
            )
        except OutboxError:
            return
        raise AssertionError("stored")

    @rule()
    def reopen(self) -> None:
        """As after a restart: parked rows are welcome again."""
        self.view.close()
        self.outbox.close()
        self.outbox = OutboxDatabase(self.path, MAX_BYTES, MAX_AGE_S)
        self.view = OutboxReader(self.path)
        for one in self.kept:
            one.parked = False

    @rule(behind=st.integers(0, 30), limit=st.integers(1, 10), span=st.none() | st.integers(0, 9))
    def batch(self, behind: int, limit: int, span: int | None) -> None:
        """The oldest unparked rows between two numbers, in order, with their bodies."""
        after = self.last - behind
        before = None if span is None else after + span
        wanted = [
            one.row
            for one in self.kept
            if one.row.seq > after and not one.parked and (before is None or one.row.seq < before)
        ]
        assert self.view.batch(after, limit, before) == wanted[:limit]

    @invariant()
    def counts_agree(self) -> None:
        """The outbox says of itself what is true."""
        if not hasattr(self, "outbox"):
            return
        holding = self.outbox.file_stats()
        assert holding.rows == len(self.kept)
        assert holding.oldest == (self.kept[0].row.stored_at if self.kept else None)
        assert holding.parked == sum(one.parked for one in self.kept)
        assert self.outbox.last == self.last
        # one batch at most, in the file and in its log
        assert holding.bytes <= MAX_BYTES + 2 * self.largest

    @invariant()
    def receipts_agree(self) -> None:
        """Every stored verdict's receipt is there, and no failed one's."""
        if hasattr(self, "outbox"):
            assert all(self.view.is_judged("top", receipt) for receipt in self.receipts)
            assert not self.view.is_judged("top", "never")


OutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestOutboxAgainstAList = OutboxMachine.TestCase
