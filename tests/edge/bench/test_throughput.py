"""Rates out of health messages, and the runs that are no measurement."""

import pytest

from edge.bench.rounds import InvalidRunError
from edge.bench.throughput import steady
from tests.edge.bench.samples import hearing


def test_rates_are_of_the_time_in_which_the_camera_played() -> None:
    """From the first health with an acknowledgement to the last with a live camera."""
    heard = [
        hearing(0, 0),
        hearing(1, 100, cpu_s=1.0),
        hearing(2, 200, cpu_s=1.4),
        hearing(3, 350, cpu_s=2.0),
        hearing(4, 400, cpu_s=9.0, state="finished"),
    ]
    run = steady(heard, 400)
    assert run["fps"] == pytest.approx(125.0)
    assert run["cpu_ms"] == pytest.approx(4.0)
    assert run["seconds"] == pytest.approx(2.0)
    assert run["stages_ms"]["prepare"]["p50"] == 0.5


def test_a_live_camera_may_skip() -> None:
    """Without a number of frames that must come, what made way is counted."""
    heard = [hearing(1, 10, skipped=3, frames=13), hearing(2, 30, skipped=8, frames=38)]
    assert steady(heard, None)["skipped"] == 5


def test_errors_are_no_measurement() -> None:
    """One verdict `error` spoils a run, and the daemon's reason is told."""
    heard = [hearing(1, 10), hearing(2, 20, error=1, distrusted={"stale": 1, "dark": 0})]
    with pytest.raises(InvalidRunError, match=r"1 verdicts were errors .*camera bench-1: 1 stale"):
        steady(heard, 20)


@pytest.mark.parametrize("frames", [19, 21])
def test_a_missing_frame_is_no_measurement(frames: int) -> None:
    """Frames read, verdicts and acknowledgements must all be what was played."""
    with pytest.raises(InvalidRunError, match=f"of {frames} pictures 20 were read"):
        steady([hearing(1, 10), hearing(2, 20)], frames)


def test_frames_that_were_not_judged_are_no_measurement() -> None:
    """A frame that was read and has no verdict is missed."""
    with pytest.raises(InvalidRunError, match="21 were read, 20 judged"):
        steady([hearing(1, 10), hearing(2, 20, frames=21)], 20)


def test_too_short_a_run_is_no_measurement() -> None:
    """Two health messages at least must come while the camera plays."""
    with pytest.raises(InvalidRunError, match="--seconds"):
        steady([hearing(0, 0), hearing(1, 10), hearing(2, 20, state="finished")], 20)


def test_standing_still_is_no_measurement() -> None:
    """A second without an acknowledgement has no rate."""
    with pytest.raises(InvalidRunError, match="nothing was acknowledged"):
        steady([hearing(1, 20), hearing(2, 20)], 20)


def test_a_daemon_that_decoded_whole_is_no_measurement() -> None:
    """When reduced scale changed verdicts the bare loop did less than the daemon."""
    with pytest.raises(InvalidRunError, match="--pictures"):
        steady([hearing(1, 10), hearing(2, 20, reduced=False)], 20)
