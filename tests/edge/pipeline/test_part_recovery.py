"""Parts that the last process left open get their `error`, once."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.messages import stored_body
from edge.core.part import Part
from edge.core.verdict import Verdict
from edge.core.view import ViewConfig
from edge.inspection.view_crop import ViewCrop
from edge.pipeline.frame_inspector import CameraProfile
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.judges import Judges
from edge.pipeline.part_recovery import REASON, verdicts_for_open_parts
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.send_queue import SendQueue
from edge.storage.part_journal import PartJournal
from tests.support.clock import FakeClock
from tests.support.scripted_model import ScriptedModel, inspector_with
from tests.support.verdicts import a_part

REGIONS = [{"id": "l", "region": [0, 0, 0.5, 1]}, {"id": "r", "region": [0.5, 0, 0.5, 1]}]


class TwoRowPages(SendQueue):
    """A send queue that returns at most two rows at a time."""

    def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
        return super().batch(after, min(limit, 2), before)


def waiting(*verdicts: Verdict) -> SendQueue:
    """The rows of these verdicts, numbered from 1."""
    queue = TwoRowPages(OutboxReader(Path("unused")), 0, lambda: 0.0)
    rows = [OutboxRow(n, 0.0, stored_body(v, n)) for n, v in enumerate(verdicts, 1)]
    queue.show(rows, stored=False)
    return queue


@pytest.fixture
def judge(environment: Clock) -> Judge:
    """For two cameras: `pair` has two regions, `top` has none."""
    trigger = TriggerConfig.read({"kind": "request"})
    views = {"top": {}, "pair": {"regions": REGIONS}}
    profiles = {
        name: CameraProfile(ViewCrop(ViewConfig.read(view)), trigger)
        for name, view in views.items()
    }
    inspector = inspector_with(ScriptedModel([1.0, 0.0], lambda: None))
    provenance = Provenance("line1", "c", "b-1")
    return Judge(inspector, provenance, environment, None, profiles=profiles)


@pytest.fixture
def left(tmp_path: Path) -> "KilledProcess":
    """`left(parts)`: the journal of a killed process that had noted these parts."""
    return KilledProcess(tmp_path / "parts")


class KilledProcess:
    """Leaves a journal to the next process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, *parts: Part) -> PartJournal:
        """The journal as the next process opens it."""
        before = self.open()
        for part in parts:
            before.note(part, 2 if part.camera == "pair" else 1)
        return self.open()

    def open(self) -> PartJournal:
        """As the daemon opens it."""
        return PartJournal(self.path)


def test_each_gets_an_error_with_all_that_names_it(
    left: KilledProcess, judge: Judge, environment: Clock, clock: FakeClock
) -> None:
    """The verdict has part id, transaction, number, reason and time since the trigger."""
    parts = left(a_part(at=clock.now() - 30), a_part(at=clock.now() - 20, number=5, name=None))
    found = verdicts_for_open_parts(parts, waiting(), Judges(judge), environment)
    assert [(v.part, v.verdict, v.reason) for v in found] == [
        ("P-7", "error", REASON),
        (None, "error", REASON),
    ]
    trigger = found[0].trigger
    assert trigger is not None
    assert (trigger.number, trigger.transaction) == (4, "t-9")
    assert found[0].trigger_to_verdict_ms == pytest.approx(30_000, abs=1)
    assert all(v.score is None for v in found)


def test_stored_verdicts_are_not_repeated(
    left: KilledProcess, judge: Judge, environment: Clock, clock: FakeClock
) -> None:
    """A part whose verdict is in the outbox is done, even when its journal does not say so."""
    one, two = a_part(at=clock.now(), number=1), a_part(at=clock.now(), number=2)
    parts = left(one, two)
    held = judge.conclude("top", [], one, "late")
    rows = waiting(*held, *held, *held)
    found = verdicts_for_open_parts(parts, rows, Judges(judge), environment)
    assert [v.trigger and v.trigger.number for v in found] == [2]
    parts.stored(found, [9])
    assert left.open().still_open() == []


def test_only_regions_without_a_verdict_get_one(
    left: KilledProcess, judge: Judge, environment: Clock, clock: FakeClock
) -> None:
    """One of two regions was stored; only the other gets its error."""
    part = replace(a_part(at=clock.now()), camera="pair")
    first, second = judge.conclude("pair", [], part, "x")
    assert (first.region, second.region) == ("l", "r")
    before = left(part)
    before.stored([first], [1])
    found = verdicts_for_open_parts(left.open(), waiting(), Judges(judge), environment)
    assert [v.region for v in found] == ["r"]
