"""The outbox against the simplest thing that could be right: a list."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.delivery.message import stored_body
from edge.delivery.outbox import Outbox, OutboxError, OutboxView
from edge.verdict import Verdict
from tests.edge.delivery.samples import NOON, a_verdict

MAX_BYTES, MAX_AGE_S = 8_000, 100.0


@dataclass
class Kept:
    """What the list knows of a row."""

    seq: int
    stored_at: float
    body: bytes
    parked: bool = False


class OutboxMachine(RuleBasedStateMachine):
    """Any order of storing, accepting, parking, failing, ageing, closing and opening again."""

    @initialize()
    def start(self) -> None:
        """Both empty."""
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.db"
        self.outbox = Outbox(self.path, MAX_BYTES, MAX_AGE_S)
        self.view = OutboxView(self.path)
        self.now = NOON
        self.last_seq = self.stored = self.acked = self.dropped = 0
        self.rows: list[Kept] = []
        self.receipts: set[str] = set()

    def teardown(self) -> None:
        """Files away."""
        if hasattr(self, "folder"):
            self.view.close()
            self.outbox.close()
            self.folder.cleanup()

    @rule(
        parts=st.lists(st.text("abcé", max_size=300), max_size=6),
        accept=st.lists(st.integers(0, 40), max_size=6),
        park=st.lists(st.integers(0, 40), max_size=3),
        passed=st.sampled_from([0.0, 1.0, 40.0]),
    )
    def apply(self, parts: list[str], accept: list[int], park: list[int], passed: float) -> None:
        """A commit: rows are addressed by how far they stand behind the newest."""
        self.now += passed
        receipts = [f"{part[:2]}|{self.last_seq + n}" for n, part in enumerate(parts)]
        verdicts = [a_verdict(part=p, receipt=r) for p, r in zip(parts, receipts)]
        accepted = [self.last_seq - behind for behind in accept]
        parked = [(self.last_seq - behind, "refused") for behind in park]
        numbers = self.outbox.apply(verdicts, accepted, parked, self.now)
        assert numbers == list(range(self.last_seq + 1, self.last_seq + 1 + len(parts)))
        self._apply_to_list(verdicts, set(accepted), {seq for seq, _ in parked})
        self.receipts |= set(receipts)

    def _apply_to_list(self, verdicts: list[Verdict], accepted: set[int], parked: set[int]) -> None:
        for verdict in verdicts:
            self.last_seq += 1
            self.rows.append(Kept(self.last_seq, self.now, stored_body(verdict, self.last_seq)))
        left = [row for row in self.rows if row.seq not in accepted]
        self.stored += len(verdicts)
        self.acked += len(self.rows) - len(left)
        for row in left:
            row.parked = row.parked or row.seq in parked
        young = [row for row in left if row.stored_at >= self.now - MAX_AGE_S]
        while sum(len(row.body) for row in young) > MAX_BYTES and len(young) > 1:
            young.pop(0)
        self.dropped += len(left) - len(young)
        self.rows = young

    @rule(
        count=st.integers(0, 3),
        accept=st.lists(st.integers(0, 5), max_size=3),
        bad=st.sampled_from([{"score": float("inf")}, {"receipt": ["no text"]}]),
    )
    def fail(self, count: int, accept: list[int], bad: dict[str, Any]) -> None:
        """A commit that fails in its middle changes nothing, which the invariants see."""
        group = [a_verdict(receipt=f"never|{n}") for n in range(count)]
        try:
            accepted = [self.last_seq - n for n in accept]
            self.outbox.apply([*group, a_verdict(**bad)], accepted, [], self.now)
        except (ValueError, OutboxError):
            return
        raise AssertionError(f"{bad} was stored")

    @rule()
    def reopen(self) -> None:
        """As after a restart: counters start again, parked rows are welcome again."""
        self.view.close()
        self.outbox.close()
        self.outbox = Outbox(self.path, MAX_BYTES, MAX_AGE_S)
        self.view = OutboxView(self.path)
        self.stored = self.acked = self.dropped = 0
        for row in self.rows:
            row.parked = False

    @rule(behind=st.integers(0, 30), limit=st.integers(1, 10))
    def batch(self, behind: int, limit: int) -> None:
        """The oldest unparked rows past a number, in order, with their bodies."""
        after = self.last_seq - behind
        wanted = [r for r in self.rows if r.seq > after and not r.parked][:limit]
        got = self.view.batch(after, limit)
        assert [(r.seq, r.stored_at, r.body) for r in got] == [
            (r.seq, r.stored_at, r.body) for r in wanted
        ]

    @invariant()
    def counts_agree(self) -> None:
        """The outbox says of itself what is true."""
        if not hasattr(self, "outbox"):
            return
        stats = self.outbox.stats()
        assert stats.rows == len(self.rows)
        assert stats.bytes == sum(len(row.body) for row in self.rows)
        assert stats.oldest == (self.rows[0].stored_at if self.rows else None)
        assert stats.parked == sum(row.parked for row in self.rows)
        assert (stats.stored, stats.acked, stats.dropped) == (
            self.stored,
            self.acked,
            self.dropped,
        )

    @invariant()
    def receipts_agree(self) -> None:
        """Every stored verdict's receipt is there, and no failed one's."""
        if hasattr(self, "outbox"):
            assert all(self.view.is_judged("top", receipt) for receipt in self.receipts)
            assert not self.view.is_judged("top", "never|0")


OutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestOutboxAgainstAList = OutboxMachine.TestCase
