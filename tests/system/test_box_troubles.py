"""A box in trouble says so, goes on, and loses nothing that was stored. Without rights of root; the
other troubles are played by `python -m tests.system.box_troubles`."""

from pathlib import Path

import pytest

from tests.system import box_troubles

pytestmark = pytest.mark.broker


def test_the_clock_drops_nothing(tmp_path: Path) -> None:
    """Ten years on, nothing that waits is too old; twenty back, order stays."""
    row = box_troubles.clock_jumps(tmp_path / "stage")
    assert row.lost == 0
    assert "; 0 dropped for their age" in row.meanwhile


def test_an_outage_is_told_and_kept(tmp_path: Path) -> None:
    """One fault, few lines, every verdict."""
    row = box_troubles.no_network(tmp_path / "stage")
    assert row.lost == 0
    assert row.health.startswith("broker: ")


@pytest.mark.campaign
def test_cuts_do_not_flood_the_log(tmp_path: Path) -> None:
    """A hundred cuts are a handful of lines, and nothing is lost."""
    row = box_troubles.many_reconnects(tmp_path / "stage")
    assert row.lost == 0
    lines = int(row.meanwhile.split(", ")[2].split()[0])
    assert lines <= 25
