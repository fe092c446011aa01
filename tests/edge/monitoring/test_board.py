"""Heat, voltage and clock, read below a root: file trees of a Raspberry Pi and a PC."""

from pathlib import Path

import pytest

from edge.monitoring.host import Board, HostMetrics, PowerState

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
ALARM = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
COUNT = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"


def put(root: Path, name: str, text: str) -> None:
    """Writes a file of the tree."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("0\n", PowerState(False, False, False, False)),
        ("1\n", PowerState(True, True, False, False)),
        ("50000\n", PowerState(False, True, False, True)),
        ("50005\n", PowerState(True, True, True, True)),
        ("8\n", PowerState(False, False, True, True)),
    ],
)
def test_firmware_of_a_pi(bits: str, expected: PowerState, tmp_path: Path) -> None:
    """Under-voltage and throttling, now and earlier, are the firmware's bits."""
    put(tmp_path, FIRMWARE, bits)
    assert Board(tmp_path).power() == expected


def test_an_earlier_state_is_remembered(tmp_path: Path) -> None:
    """The kernel clears the firmware's bits; the board remembers them."""
    put(tmp_path, FIRMWARE, "5\n")
    board = Board(tmp_path)
    board.power()
    put(tmp_path, FIRMWARE, "0\n")
    assert board.power() == PowerState(False, True, False, True)


def test_alarm_of_the_kernel(tmp_path: Path) -> None:
    """The kernel's rpi_volt counts where the firmware's file is missing; other sensors do not."""
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, ALARM, "1\n")
    board = Board(tmp_path)
    assert board.power() == PowerState(True, True, None, None)
    put(tmp_path, ALARM, "0\n")
    assert board.power() == PowerState(False, True, None, None)


def test_processor_of_a_pc(tmp_path: Path) -> None:
    """On x86 a rising count means a slowed processor. A PC has no values of its supply."""
    put(tmp_path, COUNT, "7\n")
    board = Board(tmp_path)
    assert board.power() == PowerState(None, None, False, False)
    put(tmp_path, COUNT, "9\n")
    assert board.power() == PowerState(None, None, True, True)
    assert board.power() == PowerState(None, None, False, True)


@pytest.mark.parametrize("text", ["", "what?\n"])
def test_garbled_firmware_has_no_state(text: str, tmp_path: Path) -> None:
    """An unreadable value is None."""
    put(tmp_path, FIRMWARE, text)
    assert Board(tmp_path).power() == PowerState()


def test_battery_clock(tmp_path: Path) -> None:
    """A Pi has no clock that runs without power; without /sys it is unknown."""
    assert Board(tmp_path).rtc() is None
    (tmp_path / "sys/class").mkdir(parents=True)
    assert Board(tmp_path).rtc() is False
    (tmp_path / "sys/class/rtc/rtc0").mkdir(parents=True)
    assert Board(tmp_path).rtc() is True


def test_memory_of_the_service(tmp_path: Path) -> None:
    """Memory that cannot be freed counts, against the limit of the control group."""
    group = "sys/fs/cgroup/system.slice/edge-inspect.service"
    put(tmp_path, "proc/self/cgroup", "0::/system.slice/edge-inspect.service\n")
    put(tmp_path, "proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n")
    put(tmp_path, f"{group}/memory.stat", f"anon {300 * 2**20}\nfile 999\nshmem {20 * 2**20}\n")
    put(tmp_path, f"{group}/memory.max", f"{2**30}\n")
    put(tmp_path, f"{group}/memory.pressure", "some avg10=0.00 avg60=12.50 avg300=1.00 total=9\n")
    memory = HostMetrics(tmp_path, tmp_path).read(0.0).memory
    assert (memory.available_mb, memory.used_mb, memory.limit_mb) == (1000.0, 320.0, 1024.0)
    assert memory.pressure_percent == 12.5
    assert memory.used_percent == 31.25
    put(tmp_path, f"{group}/memory.max", "max\n")
    unlimited = HostMetrics(tmp_path, tmp_path).read(0.0).memory
    assert (unlimited.limit_mb, unlimited.used_percent) == (None, None)
