"""The estimate in `health`: once a day, on a thread that ends."""

import logging
import threading
from pathlib import Path

import pytest

from edge.core.clock import Clock
from edge.plant import LabelRequest
from edge.plant.daily_estimate import SPAN_S, DailyEstimate
from edge.plant.line_estimate import LineEstimate
from edge.storage import HistoryError
from tests.support.clock import FakeClock
from tests.support.records import NOON, RecordsOfABox
from tests.support.waiting import wait_until


def test_it_is_made_five_minutes_after_the_start_and_then_each_day(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Not at each look, and not on the thread that looks."""
    service = RecordsOfABox(tmp_path).service()
    asked: list[tuple[float, str]] = []

    def estimate(since: float) -> LineEstimate:
        asked.append((since, threading.current_thread().name))
        return service.line_estimate(since)

    daily = DailyEstimate(estimate, Clock(clock.now, clock.tick))
    for passed_s, count in ((299, 0), (2, 1), (80_000, 1), (6500, 2)):
        clock.at += passed_s
        daily.look()
        wait_until(lambda count=count: len(asked) == count)  # type: ignore[misc]
        daily.look()
        assert len(asked) == count
    assert {name for _, name in asked} == {"estimate"}
    assert asked[1][0] == pytest.approx(clock.now() - SPAN_S)


def test_health_gets_both_rates_of_all_and_of_each_model(tmp_path: Path) -> None:
    """With intervals, and the numbers that they come from."""
    box = RecordsOfABox(tmp_path)
    service = box.service()
    for n in range(40):
        name = box.judge("pass", ago_s=3000 - n, pass_sample=0.5)
        box.keep(name, "sample", pass_sample=0.5)
        service.label(LabelRequest(ids=(name,), label="ok", by="kim"))
    daily = DailyEstimate(service.line_estimate, Clock(lambda: NOON))
    assert daily.latest is None
    daily.run_once()
    assert daily.latest is not None
    models = daily.latest.pop("models")
    assert daily.latest.pop("at") == "2026-11-30T12:00:00.000Z"
    assert daily.latest.pop("since") == "2026-10-31T12:00:00.000Z"
    assert models == {"ab" * 32: daily.latest}
    assert (daily.latest["passes"], daily.latest["looks"]) == (40, 40)
    assert daily.latest["escape_rate"]["rate"] == 0.0


def test_a_history_that_cannot_be_read_costs_only_the_estimate(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A line in the log, and another try after an hour."""
    tries = []

    def fail(since: float) -> LineEstimate:
        tries.append(since)
        raise HistoryError("history.db: the history cannot be read")

    daily = DailyEstimate(fail, Clock(clock.now, clock.tick))
    with caplog.at_level(logging.WARNING):
        daily.run_once()
    assert daily.latest is None
    assert "estimate: history.db: the history cannot be read" in caplog.text
    clock.at += 3599
    daily.look()
    assert len(tries) == 1
    clock.at += 2
    daily.look()
    wait_until(lambda: len(tries) == 2)


def test_lost_samples_are_said(tmp_path: Path) -> None:
    """The command names them while a daemon knows their number; they change no rate."""
    box = RecordsOfABox(tmp_path)
    for n in range(10):
        name = box.judge("pass", ago_s=60 - n, pass_sample=0.5)
        box.keep(name, "sample", pass_sample=0.5)
        box.service().label(LabelRequest(ids=(name,), label="ok", by="kim"))
    plain = box.service().estimate()
    lossy = box.service(skipped_samples=3).estimate()
    assert (plain["skipped_samples"], lossy["skipped_samples"]) == (None, 3)
    assert lossy["escape_rate"] == plain["escape_rate"]
    assert "3 pictures of the random sample were not kept" in lossy["sentences"][-1]
    assert plain["sentences"] == lossy["sentences"][:-1]
