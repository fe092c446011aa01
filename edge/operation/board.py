"""Heat, voltage and clock of the board, read from /proc, /sys and /run below a root."""

from dataclasses import dataclass
from pathlib import Path

# Bits of the Raspberry Pi's firmware: now, and 16 higher the same since they were last cleared.
_UNDER_VOLTAGE, _SLOWED, _EARLIER = 1 << 0, 0b1110, 16


@dataclass(frozen=True, slots=True)
class PowerState:
    """Whether the supply's voltage is too low, now and earlier (since boot, as far as the firmware
    or this process saw it), and whether heat or voltage slows the processor. None where the
    machine does not say."""

    under_voltage: bool | None = None
    under_voltage_earlier: bool | None = None
    throttled: bool | None = None
    throttled_earlier: bool | None = None


class Board:
    """Remembers what it saw: the kernel's own watcher clears the firmware's memory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._low = self._slow = False
        self._count: int | None = None

    def power(self) -> PowerState:
        """The state now."""
        bits, alarm, counted = self._firmware(), self._alarm(), self._slowed()
        if bits is None and alarm is None and counted is None:
            return PowerState()
        low = low_earlier = slow = slow_earlier = None
        if bits is not None or alarm is not None:
            known = bits or 0
            low = bool(known & _UNDER_VOLTAGE or alarm)
            self._low = self._low or low or bool(known >> _EARLIER & _UNDER_VOLTAGE)
            low_earlier = self._low
        if bits is not None:
            slow = bool(bits & _SLOWED)
            self._slow = self._slow or bool(bits >> _EARLIER & _SLOWED)
        elif counted is not None:
            slow = counted
        if slow is not None:
            self._slow = self._slow or slow
            slow_earlier = self._slow
        return PowerState(low, low_earlier, slow, slow_earlier)

    def temperature_c(self) -> float | None:
        """The hottest zone, in °C."""
        readings = []
        for zone in sorted((self._root / "sys/class/thermal").glob("thermal_zone*/temp")):
            value = _number(zone)
            if value is not None:
                readings.append(value / 1000)
        return round(max(readings), 1) if readings else None

    def clock_synced(self) -> bool | None:
        """Whether timesyncd has set the clock; None where it does not run."""
        if not (self._root / "run/systemd/timesync").is_dir():
            return None
        return (self._root / "run/systemd/timesync/synchronized").exists()

    def rtc(self) -> bool | None:
        """Whether there is a clock that runs without power; None where /sys does not say."""
        if not (self._root / "sys/class").is_dir():
            return None
        return any((self._root / "sys/class/rtc").glob("rtc*"))

    def _firmware(self) -> int | None:
        for path in (self._root / "sys/devices/platform").glob("*/*:firmware/get_throttled"):
            return _number(path, base=16)
        return None

    def _alarm(self) -> bool | None:
        for name in (self._root / "sys/class/hwmon").glob("hwmon*/name"):
            try:
                mine = name.read_text().strip() == "rpi_volt"
            except OSError:
                continue
            value = _number(name.with_name("in0_lcrit_alarm")) if mine else None
            if value is not None:
                return bool(value)
        return None

    def _slowed(self) -> bool | None:
        """On x86: whether the processor was slowed since the look before."""
        folder = self._root / "sys/devices/system/cpu"
        found = [_number(p) for p in folder.glob("cpu*/thermal_throttle/*_throttle_count")]
        counts = [count for count in found if count is not None]
        if not counts:
            return None
        before, self._count = self._count, sum(counts)
        return before is not None and self._count > before


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(path.read_text(), base)
    except (OSError, ValueError):
        return None
