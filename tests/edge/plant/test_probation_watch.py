"""The watch over a new version: what it counts, when it sends it back, what a restart remembers."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import load_config
from edge.core.errors import ConfigError, RefusedError
from edge.core.verdict import ModelIdentity, Outcome
from edge.models import ProbationRecord, open_store
from edge.plant import ProbationWatch, RollbackRequest, SwitchRequest
from tests.edge.plant.test_models import BoxWithModels
from tests.support.records import RecordsOfABox
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until

PARTS = 200


class WatchedBox(BoxWithModels):
    """A box whose redness@1 has judged, so that redness@2 can be compared with it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.config_path.write_text(
            self.config_path.read_text().replace(
                "path: versions}", f"path: versions, probation: {{parts: {PARTS}}}}}"
            )
        )
        self.records = RecordsOfABox(folder / "records")
        self.sent_back: list[ProbationRecord] = []
        self.refusals = 0
        self.first = self.install("1")
        self.service.activate(SwitchRequest(version="redness@1", by="kim"))
        self.second = self.install("2", reject_at=0.7)
        self.watch = self.new_watch()

    def new_watch(self) -> ProbationWatch:
        """As after a restart."""
        return ProbationWatch(
            self.config, self.records.history, tick=itertools.count(0.0, 2.0).__next__
        )

    def judged_before(self, outcome: Outcome, count: int) -> None:
        """Verdicts of redness@1, as history has them."""
        for _ in range(count):
            self.records.judge(outcome, model=ModelIdentity("redness", "1", self.first))

    def activate(self) -> None:
        """Judges by redness@2."""
        self.service.activate(SwitchRequest(version="redness@2", by="kim"))

    def judge(self, outcome: Outcome, count: int, **changes: object) -> None:
        """Verdicts of redness@2."""
        model = ModelIdentity("redness", "2", self.second)
        for _ in range(count):
            self.watch.count(a_verdict(verdict=outcome, model=model, **changes))

    def send_back(self, record: ProbationRecord) -> None:
        """Through the commands, unless a test refuses it."""
        if self.refusals:
            self.refusals -= 1
            raise RefusedError("the disk is full")
        self.sent_back.append(record)
        self.service.send_back(record)
        self.watch.look_again()

    def record(self) -> ProbationRecord:
        """As the store has it."""
        found = open_store(self.config()).probation("redness")
        assert found is not None
        return found


@pytest.fixture
def box(tmp_path: Path) -> WatchedBox:
    """A line of which 19 in 20 parts pass."""
    found = WatchedBox(tmp_path)
    found.judged_before("pass", 380)
    found.judged_before("fail", 20)
    return found


@pytest.fixture
def running(box: WatchedBox) -> Iterator[WatchedBox]:
    """redness@2 is active, and its probation has begun."""
    box.activate()
    with watching(box):
        yield box


class watching:  # noqa: N801  reads as a statement
    """The thread of the watch, until the end of the block."""

    def __init__(self, box: WatchedBox) -> None:
        self._box = box
        self._thread = threading.Thread(target=box.watch.run, args=(box.send_back,))

    def __enter__(self) -> None:
        self._thread.start()
        wait_until(lambda: self._box.watch.counted or self._box.sent_back)

    def __exit__(self, *_fault: object) -> None:
        self._box.watch.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_version_that_fails_everything_goes_back(running: WatchedBox) -> None:
    """The version before is active again; journal, record and fault have the figures."""
    running.judge("fail", 25)
    wait_until(lambda: running.record().state == "returned")
    assert running.active() == "1"
    by, _, after, name = running.journal[-1]
    assert by.startswith("probation: pass: 0 of 25 parts, before 380 of 400 (by chance: ")
    assert after.startswith("redness@1 (")
    assert name == "redness"
    (fault,) = running.watch.faults()
    assert fault.startswith("redness@2 was sent back (pass: 0 of 25 parts, before 380 of 400")
    running.service.remove("redness@2")
    assert running.watch.faults() == []


def test_a_version_that_judges_as_before_stays(running: WatchedBox) -> None:
    """After its parts the probation is passed, and nothing more counts."""
    running.judge("pass", 190)
    running.judge("fail", 10)
    wait_until(lambda: running.record().state == "passed")
    running.judge("fail", 200)
    assert running.active() == "2"
    assert running.sent_back == []
    assert running.watch.faults() == []


@pytest.mark.parametrize("changes", [{"frame_width": 0}, {"model": None}])
def test_what_says_nothing_about_the_model_is_not_counted(
    running: WatchedBox, changes: dict[str, object]
) -> None:
    """A part without a picture, or without a model."""
    for _ in range(300):
        running.watch.count(
            a_verdict(
                **{
                    "verdict": "error",
                    "model": ModelIdentity("redness", "2", running.second),
                    **changes,
                }
            )
        )
    running.judge("pass", 24)
    running.watch.close()
    wait_until(lambda: running.record().seen == 24)
    assert running.record().state == "running"


def test_verdicts_of_another_model_are_not_counted(running: WatchedBox) -> None:
    """The last ones of the version before may come late."""
    for _ in range(300):
        running.watch.count(
            a_verdict(verdict="fail", model=ModelIdentity("redness", "1", running.first))
        )
    running.judge("pass", 3)
    running.watch.close()
    wait_until(lambda: running.record().seen == 3)


def test_a_slow_version_goes_back(running: WatchedBox) -> None:
    """Twice the 95th percentile of before is slow."""
    running.judge("pass", 25, capture_to_verdict_ms=10_000.0)
    wait_until(lambda: running.record().state == "returned")
    assert "slow: 25 of 25" in (running.record().reason or "")


def test_a_restart_goes_on_with_the_counts(box: WatchedBox) -> None:
    """Twelve parts before it and thirteen after it make a look."""
    box.activate()
    with watching(box):
        box.judge("fail", 12)
    assert box.record().seen == 12
    box.watch = box.new_watch()
    with watching(box):
        box.judge("fail", 13)
        wait_until(lambda: box.record().state == "returned")
    assert box.record().seen == 25


def test_a_decision_that_a_kill_interrupted_is_carried_out(box: WatchedBox) -> None:
    """`returning` is written before anything is done."""
    box.activate()
    with watching(box):
        pass
    store = open_store(box.config())
    store.save_probation(box.record().replace(state="returning", reason="fail: 9 of 9 parts"))
    box.watch = box.new_watch()
    with watching(box):
        wait_until(lambda: box.record().state == "returned")
    assert box.active() == "1"


def test_a_return_that_is_refused_is_a_fault_and_is_tried_again(box: WatchedBox) -> None:
    """The sentence says what should have happened, and why it did not."""
    box.activate()
    box.refusals = 1
    with watching(box):
        box.judge("fail", 25)
        wait_until(box.watch.faults)
        (fault,) = box.watch.faults()
        assert fault.startswith("redness: its new version should go back (")
        assert fault.endswith("but the disk is full")
        assert box.record().state == "returning"
    box.watch = box.new_watch()
    with watching(box):
        wait_until(lambda: box.record().state == "returned")
    assert box.watch.faults()[0].startswith("redness@2 was sent back")


def test_another_switch_ends_a_probation(running: WatchedBox) -> None:
    """A person went back: there is nothing to decide."""
    running.service.rollback(RollbackRequest(by="kim"))
    running.watch.look_again()
    wait_until(lambda: not running.watch.counted)
    assert running.active() == "1"
    assert running.sent_back == []


@pytest.mark.parametrize("parts", [0, PARTS])
def test_no_probation_without_parts_or_a_version_before(tmp_path: Path, parts: int) -> None:
    """`parts: 0` switches it off; the first version of a name has nothing to go back to."""
    box = WatchedBox(tmp_path)
    if not parts:
        text = box.config_path.read_text().replace(f"parts: {PARTS}", "parts: 0")
        box.config_path.write_text(text)
        box.activate()
    box.watch.close()
    box.watch.run(box.send_back)
    assert open_store(box.config()).probation("redness") is None


def test_the_configuration_has_limits(tmp_path: Path) -> None:
    """A rate of 0 would never send anything back."""
    box = WatchedBox(tmp_path)
    text = box.config_path.read_text().replace(f"parts: {PARTS}", "false_returns: 0")
    box.config_path.write_text(text)
    with pytest.raises(ConfigError, match=r"models\.probation\.false_returns"):
        load_config(box.config_path)
