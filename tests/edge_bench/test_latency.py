"""The match of verdicts and pictures, and the latency."""

import datetime
import json
from pathlib import Path

import pytest

from edge_bench.camera_server import SentPicture
from edge_bench.latency import flushes_ms, match_pictures
from edge_bench.proxy import PublishStamp
from edge_bench.rounds import InvalidRunError

_NOW = 1_790_000_000.0


def stamp(at: float, captured: float, verdict: str = "pass") -> PublishStamp:
    """A verdict sent at `at` on a picture of `captured`, both s after the first picture."""
    moment = datetime.datetime.fromtimestamp(_NOW + captured, datetime.UTC)
    body = {"verdict": verdict, "captured_at": moment.isoformat(), "reason": "late"}
    return PublishStamp(100.0 + at, json.dumps(body).encode())


SENT = [SentPicture(100.0 + n / 10, _NOW + n / 10) for n in range(5)]


def test_a_verdict_matches_the_captured_picture() -> None:
    """Also when the next picture has been sent, and when the capture time is slightly early."""
    found = match_pictures([stamp(0.107, 0.101), stamp(0.35, 0.199)], SENT)
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
def test_a_verdict_without_a_match_makes_a_run_invalid(stamps: list[PublishStamp]) -> None:
    """A verdict without a picture, two on one picture, and a wrong order are invalid."""
    with pytest.raises(InvalidRunError, match="is unknown"):
        match_pictures(stamps, SENT)


def test_an_error_verdict_makes_a_run_invalid() -> None:
    """The sentence has the reason of the error."""
    with pytest.raises(InvalidRunError, match="late"):
        match_pictures([stamp(0.11, 0.101, verdict="error")], SENT)


def test_the_flush_measurement_leaves_no_file(tmp_path: Path) -> None:
    """Each flush takes some time, and no file stays."""
    assert all(ms > 0 for ms in flushes_ms(tmp_path, rate=1000))
    assert not list(tmp_path.iterdir())
