"""Which picture a verdict is of, and how long it took."""

import datetime
import json
from pathlib import Path

import pytest

from edge_bench.camera_server import Sent
from edge_bench.latency import flushes_ms, matched
from edge_bench.proxy import Stamp
from edge_bench.rounds import InvalidRunError

_NOW = 1_790_000_000.0


def stamp(at: float, captured: float, verdict: str = "pass") -> Stamp:
    """A verdict at `at` on what was captured then; both in seconds after the first picture."""
    moment = datetime.datetime.fromtimestamp(_NOW + captured, datetime.UTC)
    body = {"verdict": verdict, "captured_at": moment.isoformat(), "reason": "late"}
    return Stamp(100.0 + at, json.dumps(body).encode())


SENT = [Sent(100.0 + n / 10, _NOW + n / 10) for n in range(5)]


def test_a_verdict_belongs_to_the_picture_that_was_captured() -> None:
    """Also when the next picture was sent meanwhile, and when the camera's process was quicker
    than the server's clock."""
    found = matched([stamp(0.107, 0.101), stamp(0.35, 0.199)], SENT)
    assert [number for _, number in found] == [1, 2]
    assert [ms for ms, _ in found] == pytest.approx([7.0, 150.0], abs=0.01)


@pytest.mark.parametrize(
    "stamps",
    [
        [stamp(0.1, -0.2)],
        [stamp(0.11, 0.101), stamp(0.12, 0.103)],
        [stamp(0.31, 0.301), stamp(0.32, 0.201)],
    ],
    ids=["before the first", "two on one", "backwards"],
)
def test_what_cannot_be_told_is_no_measurement(stamps: list[Stamp]) -> None:
    """A verdict without a picture, two on one, or one that goes back ends the run."""
    with pytest.raises(InvalidRunError, match="is unknown"):
        matched(stamps, SENT)


def test_an_error_is_no_measurement() -> None:
    """A verdict `error` ends the run with its reason."""
    with pytest.raises(InvalidRunError, match="late"):
        matched([stamp(0.11, 0.101, verdict="error")], SENT)


def test_the_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    """Each flush takes some time; nothing stays."""
    assert all(ms > 0 for ms in flushes_ms(tmp_path, rate=1000))
    assert not list(tmp_path.iterdir())
