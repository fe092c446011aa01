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
from edge.pipeline.part_recovery import REASON, place_of, verdicts_for_unjudged
from edge.storage.outbox.records import OutboxRow
from edge.storage.part_journal import PartJournal
from tests.support.clock import FakeClock
from tests.support.scripted_model import ScriptedModel, inspector_with
from tests.support.verdicts import a_part


class Waiting:
    """An outbox with some rows in it."""

    def __init__(self, verdicts: list[Verdict]) -> None:
        self.rows = [OutboxRow(n, 0.0, stored_body(v, n)) for n, v in enumerate(verdicts, 1)]

    def batch(self, after: int, limit: int) -> list[OutboxRow]:
        """The oldest after a number."""
        return [row for row in self.rows if row.seq > after][: min(limit, 2)]


@pytest.fixture
def judge(environment: Clock) -> Judge:
    """Of a camera with two regions, and one without."""
    regions = [{"id": "l", "region": [0, 0, 0.5, 1]}, {"id": "r", "region": [0.5, 0, 0.5, 1]}]
    trigger = TriggerConfig.read({"kind": "request"})
    views = {"top": {}, "pair": {"regions": regions}}
    manners = {
        name: CameraProfile(ViewCrop(ViewConfig.read(view)), trigger)
        for name, view in views.items()
    }
    inspector = inspector_with(ScriptedModel([1.0, 0.0], lambda: None))
    provenance = Provenance("line1", "c", "b-1")
    return Judge(inspector, provenance, environment, None, manners=manners)


@pytest.fixture
def left(tmp_path: Path, judge: Judge) -> "Left":
    """`left(parts)`: what a process that noted these left behind."""
    return Left(tmp_path / "parts", judge)


class Left:
    """A killed process, and the next one."""

    def __init__(self, path: Path, judge: Judge) -> None:
        self.path, self.judge = path, judge

    def __call__(self, *parts: Part) -> PartJournal:
        """What the next process finds."""
        before = self.open()
        for part in parts:
            before.note(part)
        return self.open()

    def open(self) -> PartJournal:
        """As the daemon opens it."""
        return PartJournal(self.path, self.judge.verdicts_a_part)


def test_each_gets_an_error_with_all_that_names_it(
    left: Left, judge: Judge, environment: Clock, clock: FakeClock
) -> None:
    """Part id, transaction and number come back, with the reason and how long it waited."""
    parts = left(a_part(at=clock.now() - 30), a_part(at=clock.now() - 20, number=5, name=None))
    found = verdicts_for_unjudged(parts, Waiting([]), judge, environment)
    assert [(v.part, v.verdict, v.reason) for v in found] == [
        ("P-7", "error", REASON),
        (None, "error", REASON),
    ]
    trigger = found[0].trigger
    assert trigger is not None
    assert (trigger.number, trigger.transaction) == (4, "t-9")
    assert found[0].trigger_to_verdict_ms == pytest.approx(30_000, abs=1)
    assert all(v.score is None for v in found)


def test_stored_verdicts_are_not_told_again(
    left: Left, judge: Judge, environment: Clock, clock: FakeClock
) -> None:
    """What the outbox holds is done, also when the process died before it could note so."""
    one, two = a_part(at=clock.now(), number=1), a_part(at=clock.now(), number=2)
    parts = left(one, two)
    held = judge.conclude("top", [], one, "late")
    rows = Waiting([*held, *held, *held])
    found = verdicts_for_unjudged(parts, rows, judge, environment)
    assert [v.trigger and v.trigger.number for v in found] == [2]
    parts.stored(found, [9])
    assert left.open().still_open() == []


def test_only_regions_without_a_verdict_get_one(
    left: Left, judge: Judge, environment: Clock, clock: FakeClock
) -> None:
    """Of a part with two regions, one of which was stored, the other gets its error."""
    part = replace(a_part(at=clock.now()), camera="pair")
    first, second = judge.conclude("pair", [], part, "x")
    assert (first.region, second.region) == ("l", "r")
    before = left(part)
    before.stored([first], [1])
    found = verdicts_for_unjudged(left.open(), Waiting([]), judge, environment)
    assert [v.region for v in found] == ["r"]


def test_where_it_is_kept(tmp_path: Path) -> None:
    """In systemd's runtime directory, else beside the outbox."""
    outbox = tmp_path / "outbox.db"
    assert place_of(outbox, None) == tmp_path / "outbox.db.parts"
    assert place_of(outbox, "/run/a:/run/b") == Path("/run/a/outbox.db.parts")
