"""A box with a fault reports it, goes on, and loses no stored verdict. These faults need no root;
`python -m tests.system.box_troubles` makes the others."""

from pathlib import Path

import pytest

from tests.system import box_troubles

pytestmark = pytest.mark.broker


def test_the_clock_drops_nothing(tmp_path: Path) -> None:
    """A jump of ten years drops no verdict as too old; a jump back keeps the order."""
    row = box_troubles.clock_jumps(tmp_path / "box")
    assert row.lost == 0
    assert "; 0 dropped for their age" in row.effect


def test_an_outage_is_a_fault_and_loses_nothing(tmp_path: Path) -> None:
    """One fault, few lines of log, all verdicts."""
    row = box_troubles.no_network(tmp_path / "box")
    assert row.lost == 0
    assert row.health.startswith("broker: ")


@pytest.mark.campaign
def test_cuts_do_not_flood_the_log(tmp_path: Path) -> None:
    """A hundred cuts give a few lines, and no verdict is lost."""
    row = box_troubles.many_reconnects(tmp_path / "box")
    assert row.lost == 0
    lines = int(row.effect.split(", ")[2].split()[0])
    assert lines <= 25
