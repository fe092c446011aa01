"""Rates of a live camera out of health messages, and the runs that are no measurement."""

import os

import pytest

from edge_bench.rounds import InvalidRunError
from edge_bench.throughput import at_once, steady
from tests.edge_bench.samples import hearing


def test_rates_are_of_the_time_in_which_the_camera_was_there() -> None:
    """From the first health with an acknowledgement to the last with a live camera."""
    heard = [
        hearing(0, 0),
        hearing(1, 100, cpu_s=1.0),
        hearing(2, 200, cpu_s=1.4),
        hearing(3, 350, cpu_s=2.0),
        hearing(4, 400, cpu_s=9.0, state="lost"),
    ]
    run = steady(heard)
    assert run["fps"] == pytest.approx(125.0)
    assert run["cpu_ms"] == pytest.approx(4.0)
    assert run["seconds"] == pytest.approx(2.0)
    assert run["stages_ms"]["prepare"]["p50"] == 0.5


def test_a_live_camera_may_skip() -> None:
    """What made way for newer pictures is counted, and is not missed."""
    heard = [hearing(1, 10, skipped=3, frames=13), hearing(2, 30, skipped=80, frames=110)]
    assert steady(heard)["skipped"] == 77


def test_errors_are_no_measurement() -> None:
    """One verdict `error` spoils a run, and the daemon's reason is told."""
    heard = [hearing(1, 10), hearing(2, 20, error=1, distrusted={"stale": 1, "dark": 0})]
    with pytest.raises(InvalidRunError, match=r"1 verdicts were errors .*camera bench-1: 1 stale"):
        steady(heard)


def test_too_short_a_run_is_no_measurement() -> None:
    """Two health messages at least must come while the camera is there."""
    with pytest.raises(InvalidRunError, match="--seconds"):
        steady([hearing(0, 0), hearing(1, 10), hearing(2, 20, state="lost")])


def test_standing_still_is_no_measurement() -> None:
    """A second without an acknowledgement has no rate."""
    with pytest.raises(InvalidRunError, match="nothing was acknowledged"):
        steady([hearing(1, 20), hearing(2, 20)])


def test_no_more_loops_at_once_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a process with a model of its own: more of them tell nothing, and a small box has no
    memory for sixteen."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})
    assert at_once((1, 2, 4, 8, 16)) == [2, 4]
    assert at_once((1,)) == []
