"""The state of the box, read below a root: a file tree instead of /proc and /sys."""

import os
from pathlib import Path

import pytest

from edge.monitoring.host import HostMetrics, HostState

HZ = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a Raspberry Pi, as far as we read them."""
    files = {
        "proc/self/status": "Name:\tpython\nVmHWM:\t  122880 kB\nVmRSS:\t  102400 kB\n",
        "proc/self/stat": stat(0, 0),
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/thermal/thermal_zone1/temp": "61000\n",
        "run/systemd/timesync/synchronized": "",
    }
    for name, text in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "tree"


def stat(user_s: float, system_s: float) -> str:
    """A /proc/self/stat line; the program's name holds spaces and parentheses."""
    before = "1234 (py (x) thon) S 1 1 1 0 -1 4194304 100 0 0 0"
    return f"{before} {int(user_s * HZ)} {int(system_s * HZ)} 0 0 20 0 9 0 5555 1 1 1"


def test_state_of_a_box(root: Path, tmp_path: Path) -> None:
    """Memory, the hottest zone, the disk of the outbox and the clock are read."""
    state = HostMetrics(root, tmp_path).read(10.0)
    assert (state.memory.rss_mb, state.memory.peak_mb) == (100.0, 120.0)
    assert state.temperature_c == 61.0
    assert state.clock_synced is True
    assert state.disk.free_mb is not None
    assert state.disk.free_mb > 0


def test_cpu_is_the_difference_between_two_readings(root: Path, tmp_path: Path) -> None:
    """CPU use is user and system time over the time that passed, of one core."""
    machine = HostMetrics(root, tmp_path)
    assert machine.read(10.0).cpu_percent is None
    (root / "proc/self/stat").write_text(stat(1.0, 0.5))
    assert machine.read(12.0).cpu_percent == 75.0
    assert machine.read(12.0).cpu_percent is None


def test_box_without_values(tmp_path: Path) -> None:
    """Without a file the value is None."""
    state = HostMetrics(tmp_path / "none", tmp_path / "none").read(0.0)
    assert state == HostState()


def test_garbled_sensor_is_left_out(root: Path, tmp_path: Path) -> None:
    """A thermal zone that cannot be read is left out, the others count."""
    (root / "sys/class/thermal/thermal_zone1/temp").write_text("garbled\n")
    assert HostMetrics(root, tmp_path).read(0.0).temperature_c == 48.3


def test_clock_that_is_not_synced(root: Path, tmp_path: Path) -> None:
    """timesyncd without its file `synchronized` means that the clock is not set."""
    (root / "run/systemd/timesync/synchronized").unlink()
    assert HostMetrics(root, tmp_path).read(0.0).clock_synced is False


@pytest.mark.parametrize(("celsius", "hot"), [(None, False), (79.9, False), (80.0, True)])
def test_hot_from_eighty_degrees(celsius: float | None, hot: bool) -> None:
    """A Pi slows down from 80 °C."""
    assert HostState(temperature_c=celsius).hot is hot
