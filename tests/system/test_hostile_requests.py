"""Malformed and hostile requests through a real mosquitto: every one is counted, and the box works.

`python -m tests.campaigns.hostile_requests` does it with a hundred thousand, and measures."""

from pathlib import Path

import pytest

from tests.campaigns.hostile_requests import run


@pytest.mark.parametrize("allowed_per_s", [10_000.0, 5.0])
def test_hostile_requests_are_answered_or_counted(tmp_path: Path, allowed_per_s: float) -> None:
    """Requests above the rate limit are counted too. Valid requests are answered afterwards, and
    verdicts go on."""
    outcome = run(
        tmp_path, count=300, per_s=500.0, allowed_per_s=allowed_per_s, quiet_s=1.0, seed=7
    )
    broken = [name for name, kept in outcome.promises(growth_mb=50.0).items() if not kept]
    assert broken == []
    assert (outcome.dropped > 0) == (allowed_per_s < 10)
    assert all(outcome.late_ms)
