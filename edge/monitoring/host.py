"""The state of the box, read from /proc, /sys and /run below a root. A value is None where the
machine does not provide it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

_THROTTLED_C = 80.0
# Bits of the Raspberry Pi's firmware. 16 bits higher: the same since they were last cleared.
_UNDER_VOLTAGE, _SLOWED, _EARLIER = 1 << 0, 0b1110, 16


@dataclass(frozen=True, slots=True)
class MemoryState:
    """Memory in MB (2^20 bytes).

    rss_mb, peak_mb: of this process.
    available_mb: of the box.
    used_mb, limit_mb: of the service, with its camera processes.
    pressure_percent: the share of the last minute in which work waited for memory.
    """

    rss_mb: float | None = None
    peak_mb: float | None = None
    available_mb: float | None = None
    used_mb: float | None = None
    limit_mb: float | None = None
    pressure_percent: float | None = None

    @property
    def used_percent(self) -> float | None:
        """Use of the service's limit; None without a limit."""
        if self.used_mb is None or not self.limit_mb:
            return None
        return 100 * self.used_mb / self.limit_mb


@dataclass(frozen=True, slots=True)
class DiskState:
    """The file system of the outbox."""

    free_mb: float | None = None
    inodes_free_percent: float | None = None
    read_only: bool | None = None


@dataclass(frozen=True, slots=True)
class PowerState:
    """Whether the supply's voltage is too low, and whether heat or voltage slows the processor.
    `earlier`: since boot, as far as the firmware or this process saw it."""

    under_voltage: bool | None = None
    under_voltage_earlier: bool | None = None
    throttled: bool | None = None
    throttled_earlier: bool | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """cpu_percent: of one core. temperature_c: of the hottest zone, °C."""

    cpu_percent: float | None = None
    temperature_c: float | None = None
    clock_synced: bool | None = None
    rtc: bool | None = None
    memory: MemoryState = field(default_factory=MemoryState)
    disk: DiskState = field(default_factory=DiskState)
    power: PowerState = field(default_factory=PowerState)

    @property
    def hot(self) -> bool:
        """Whether the temperature slows a Pi: from 80 °C."""
        return self.temperature_c is not None and self.temperature_c >= _THROTTLED_C


class Board:
    """Sensors of the board. It remembers its readings, because the kernel clears the firmware's
    bits."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._low = self._slow = False
        self._count: int | None = None

    def power(self) -> PowerState:
        """The present state."""
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
        """Whether timesyncd has set the clock; None when it does not run."""
        if not (self._root / "run/systemd/timesync").is_dir():
            return None
        return (self._root / "run/systemd/timesync/synchronized").exists()

    def rtc(self) -> bool | None:
        """Whether the box has a clock that runs without power; None without /sys."""
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
                found = name.read_text().strip() == "rpi_volt"
            except OSError:
                continue
            value = _number(name.with_name("in0_lcrit_alarm")) if found else None
            if value is not None:
                return bool(value)
        return None

    def _slowed(self) -> bool | None:
        """On x86: whether the processor was slowed since the previous call."""
        folder = self._root / "sys/devices/system/cpu"
        found = [_number(p) for p in folder.glob("cpu*/thermal_throttle/*_throttle_count")]
        counts = [count for count in found if count is not None]
        if not counts:
            return None
        before, self._count = self._count, sum(counts)
        return before is not None and self._count > before


class HostMetrics:
    """Reads the state. It keeps the last reading, because CPU use is a difference."""

    def __init__(self, root: Path, state_folder: Path) -> None:
        """`state_folder`: the folder of the outbox, whose file system is reported."""
        self._root, self._state_folder = root, state_folder
        self._board = Board(root)
        self._cpu: tuple[float, float] | None = None

    def read(self, tick: float) -> HostState:
        """The present state; `tick` is monotonic seconds."""
        board = self._board
        return HostState(
            cpu_percent=self._cpu_percent(tick),
            temperature_c=board.temperature_c(),
            clock_synced=board.clock_synced(),
            rtc=board.rtc(),
            memory=self._memory(),
            disk=self._disk(),
            power=board.power(),
        )

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._root / name).read_text().splitlines()
        except (OSError, ValueError):
            return []

    def _fields(self, name: str, separator: str | None = ":") -> dict[str, str]:
        pairs = [line.split(separator, 1) for line in self._lines(name)]
        return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}

    def _cpu_percent(self, tick: float) -> float | None:
        try:
            text = (self._root / "proc/self/stat").read_text()
        except OSError:
            return None
        user, system = text.rpartition(")")[2].split()[11:13]
        used = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        before, self._cpu = self._cpu, (tick, used)
        if before is None or tick <= before[0]:
            return None
        return round(100 * (used - before[1]) / (tick - before[0]), 1)

    def _memory(self) -> MemoryState:
        status = self._fields("proc/self/status")
        group = next((p for p in self._lines("proc/self/cgroup") if p.startswith("0::")), "0::/")
        folder = f"sys/fs/cgroup/{group[3:].strip('/')}"
        stat = self._fields(f"{folder}/memory.stat", None)
        # Cached files can be freed; shared memory (the cameras' pictures) cannot.
        parts = [_mb(stat.get(key)) for key in ("anon", "shmem")]
        used = [part for part in parts if part is not None]
        limit = self._lines(f"{folder}/memory.max")
        return MemoryState(
            rss_mb=_kb_to_mb(status.get("VmRSS")),
            peak_mb=_kb_to_mb(status.get("VmHWM")),
            available_mb=_kb_to_mb(self._fields("proc/meminfo").get("MemAvailable")),
            used_mb=round(sum(used), 1) if used else None,
            limit_mb=_mb(limit[0]) if limit else None,
            pressure_percent=self._pressure(folder),
        )

    def _pressure(self, folder: str) -> float | None:
        lines = self._lines(f"{folder}/memory.pressure") or self._lines("proc/pressure/memory")
        for line in lines:
            words = line.split()
            if words and words[0] == "some":
                values = dict(word.partition("=")[::2] for word in words[1:])
                return float(values["avg60"]) if "avg60" in values else None
        return None

    def _disk(self) -> DiskState:
        try:
            stat = os.statvfs(self._state_folder)
        except OSError:
            return DiskState()
        inodes = round(100 * stat.f_favail / stat.f_files, 1) if stat.f_files else None
        return DiskState(
            free_mb=round(stat.f_bavail * stat.f_frsize / 2**20, 1),
            inodes_free_percent=inodes,  # None: this file system has no limit
            read_only=bool(stat.f_flag & os.ST_RDONLY),
        )


def _kb_to_mb(text: str | None) -> float | None:
    return round(int(text.split()[0]) / 1024, 1) if text else None


def _mb(text: str | None) -> float | None:
    return round(int(text) / 2**20, 1) if text and text.isdigit() else None


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(path.read_text(), base)
    except (OSError, ValueError):
        return None
