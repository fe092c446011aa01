"""What the operating system says of this box, read from /proc, /sys and /run below a root."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from edge.operation.board import Board, PowerState

_THROTTLED_C = 80.0


@dataclass(frozen=True, slots=True)
class MemoryState:
    """In MB (2^20 bytes): of this process `rss_mb` and `peak_mb`; of the box `available_mb`; of the
    service, camera processes included, `used_mb` and its `limit_mb`. `pressure_percent`: of the
    last minute, how long work waited for memory. None where this machine does not say."""

    rss_mb: float | None = None
    peak_mb: float | None = None
    available_mb: float | None = None
    used_mb: float | None = None
    limit_mb: float | None = None
    pressure_percent: float | None = None

    @property
    def used_percent(self) -> float | None:
        """Of the service's limit; None without one."""
        if self.used_mb is None or not self.limit_mb:
            return None
        return 100 * self.used_mb / self.limit_mb


@dataclass(frozen=True, slots=True)
class DiskState:
    """Where the outbox is. None where this machine does not say."""

    free_mb: float | None = None
    inodes_free_percent: float | None = None
    read_only: bool | None = None


@dataclass(frozen=True, slots=True)
class MachineState:
    """CPU in per cent of one core, temperature in °C. None where this machine does not say."""

    cpu_percent: float | None = None
    temperature_c: float | None = None
    clock_synced: bool | None = None
    rtc: bool | None = None
    memory: MemoryState = field(default_factory=MemoryState)
    disk: DiskState = field(default_factory=DiskState)
    power: PowerState = field(default_factory=PowerState)

    @property
    def hot(self) -> bool:
        """A Pi slows its clock down from 80 °C."""
        return self.temperature_c is not None and self.temperature_c >= _THROTTLED_C


class Machine:
    """Reads the state; remembers the last reading, since CPU use is a difference."""

    def __init__(self, root: Path, state_folder: Path) -> None:
        """`state_folder` is where the free disk space matters."""
        self._root, self._state_folder = root, state_folder
        self._board = Board(root)
        self._cpu: tuple[float, float] | None = None

    def read(self, tick: float) -> MachineState:
        """The state now; `tick` is monotonic seconds."""
        board = self._board
        return MachineState(
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
        # Files that are cached can be given back, what is shared (pictures of cameras) cannot.
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
                said = dict(word.partition("=")[::2] for word in words[1:])
                return float(said["avg60"]) if "avg60" in said else None
        return None

    def _disk(self) -> DiskState:
        try:
            said = os.statvfs(self._state_folder)
        except OSError:
            return DiskState()
        inodes = round(100 * said.f_favail / said.f_files, 1) if said.f_files else None
        return DiskState(
            free_mb=round(said.f_bavail * said.f_frsize / 2**20, 1),
            inodes_free_percent=inodes,  # some file systems have as many as they need
            read_only=bool(said.f_flag & os.ST_RDONLY),
        )


def _kb_to_mb(text: str | None) -> float | None:
    return round(int(text.split()[0]) / 1024, 1) if text else None


def _mb(text: str | None) -> float | None:
    return round(int(text) / 2**20, 1) if text and text.isdigit() else None
