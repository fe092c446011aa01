"""The figures of a candidate that judges along."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.plant.shadow_report import Agreement, ShadowCounts, ShadowReport

NAMES = {"name": "caps", "version": "2", "sha256": "0" * 64, "by": "kim", "fault": None}


@pytest.mark.parametrize(
    ("same", "judged", "low", "high"),
    [(995, 1000, 0.98837, 0.99838), (0, 10, 0.0, 0.30850), (10, 10, 0.69150, 1.0)],
)
def test_the_interval_is_that_of_clopper_and_pearson(
    same: int, judged: int, low: float, high: float
) -> None:
    """Values of scipy.stats.binomtest(...).proportion_ci(method="exact")."""
    found = Agreement.of(same, judged)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_share_lies_in_its_interval(case: tuple[int, int]) -> None:
    """For any counts."""
    found = Agreement.of(*case)
    assert found is not None
    assert 0 <= found.low <= found.share <= found.high <= 1


def test_the_report() -> None:
    """What would pass is named first, and JSON gives the same values back."""
    counts = ShadowCounts("2026-12-01T00:00:00.000Z", active="1" * 64)
    for _ in range(3):
        counts.add(("pass", 2.0), ("review", 4.0))
    counts.add(("fail", 2.0), ("pass", 8.0))
    counts.add(("fail", None), ("fail", None))
    counts.skipped = 7
    found = counts.report(**NAMES)  # type: ignore[arg-type]
    assert [(one.active, one.candidate, one.parts) for one in found.flips] == [
        ("fail", "pass", 1),
        ("pass", "review", 3),
    ]
    assert found.agreement is not None
    assert found.agreement.share == pytest.approx(0.2)
    assert ShadowReport.read(found.to_dict()) == found
    lines = found.lines()
    assert "5 parts, 7 skipped" in lines[0]
    assert lines[2] == "  1 fail → pass, 3 pass → review"
    assert lines[3] == "  inference p50 / p95: 4.0 / 7.4 ms; active version: 2.0 / 2.0 ms"


def test_before_the_first_part_and_with_a_fault() -> None:
    """One line, and the reason."""
    counts = ShadowCounts("2026-12-01T00:00:00.000Z")
    assert len(counts.report(**NAMES).lines()) == 1  # type: ignore[arg-type]
    faulty = counts.report(**{**NAMES, "fault": "it is gone"})  # type: ignore[arg-type]
    assert faulty.lines()[1] == "  it does not judge: it is gone"
