"""The deliberate breakages still fit the code, so that they can be run at any time."""

import pytest

from scripts.breakage import ROOT
from scripts.breakages import BREAKAGES, Breakage


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.name)
def test_what_is_to_be_broken_is_there_once(breakage: Breakage) -> None:
    """A breakage names code that exists, and tests that exist."""
    assert (ROOT / breakage.file).read_text().count(breakage.good) >= 1
    assert breakage.good != breakage.bad
    assert all((ROOT / test).exists() for test in breakage.tests.split())
