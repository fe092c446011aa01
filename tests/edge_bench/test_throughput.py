"""Rates of a live camera from health messages, and invalid runs."""

import os

import pytest

from edge_bench.rounds import InvalidRunError
from edge_bench.throughput import loop_counts, steady_rates
from tests.edge_bench.samples import health_sample


def test_rates_count_only_the_time_with_a_live_camera() -> None:
    """Rates count from the first acknowledgement to the last message with a live camera."""
    health_samples = [
        health_sample(0, 0),
        health_sample(1, 100, cpu_s=1.0),
        health_sample(2, 200, cpu_s=1.4),
        health_sample(3, 350, cpu_s=2.0),
        health_sample(4, 400, cpu_s=9.0, state="lost"),
    ]
    run = steady_rates(health_samples)
    assert run["fps"] == pytest.approx(125.0)
    assert run["cpu_ms"] == pytest.approx(4.0)
    assert run["seconds"] == pytest.approx(2.0)
    assert run["stages_ms"]["prepare"]["p50"] == 0.5


def test_a_live_camera_may_skip() -> None:
    """Replaced frames are counted and are not missing."""
    health_samples = [
        health_sample(1, 10, skipped=3, frames=13),
        health_sample(2, 30, skipped=80, frames=110),
    ]
    assert steady_rates(health_samples)["skipped"] == 77


def test_an_error_verdict_makes_a_run_invalid() -> None:
    """The sentence has the number of errors and the daemon's reason."""
    health_samples = [
        health_sample(1, 10),
        health_sample(2, 20, error=1, distrusted={"stale": 1, "dark": 0}),
    ]
    with pytest.raises(InvalidRunError, match=r"1 verdicts were errors .*camera bench-1: 1 stale"):
        steady_rates(health_samples)


def test_a_run_that_is_too_short_is_invalid() -> None:
    """A run needs at least two health messages with a live camera."""
    with pytest.raises(InvalidRunError, match="--seconds"):
        steady_rates(
            [health_sample(0, 0), health_sample(1, 10), health_sample(2, 20, state="lost")]
        )


def test_a_run_without_progress_is_invalid() -> None:
    """Messages without a new acknowledgement give no rate."""
    with pytest.raises(InvalidRunError, match="no verdict was acknowledged"):
        steady_rates([health_sample(1, 20), health_sample(2, 20)])


def test_there_are_no_more_loops_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """More loops than cores give no information and take memory, since each loads a model."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})
    assert loop_counts((1, 2, 4, 8, 16)) == [2, 4]
    assert loop_counts((1,)) == []
