"""What the operating system says of this box, read from /proc, /sys and /run below a root."""

import os
from dataclasses import dataclass
from pathlib import Path

_THROTTLED_C = 80.0


@dataclass(frozen=True, slots=True)
class MachineState:
    """Memory in MB of this process, CPU in per cent of one core, temperature in °C, disk in MB.

    None where this machine does not say.
    """

    rss_mb: float | None
    peak_mb: float | None
    cpu_percent: float | None
    temperature_c: float | None
    disk_free_mb: float | None
    clock_synced: bool | None

    @property
    def hot(self) -> bool:
        """A Pi slows its clock down from 80 °C."""
        return self.temperature_c is not None and self.temperature_c >= _THROTTLED_C


class Machine:
    """Reads the state; remembers the last reading, since CPU use is a difference."""

    def __init__(self, root: Path, state_folder: Path) -> None:
        """`state_folder` is where the free disk space matters."""
        self._root, self._state_folder = root, state_folder
        self._cpu: tuple[float, float] | None = None

    def read(self, tick: float) -> MachineState:
        """The state now; `tick` is monotonic seconds."""
        status = self._fields("proc/self/status")
        return MachineState(
            rss_mb=_kb_to_mb(status.get("VmRSS")),
            peak_mb=_kb_to_mb(status.get("VmHWM")),
            cpu_percent=self._cpu_percent(tick),
            temperature_c=self._temperature(),
            disk_free_mb=self._disk_free_mb(),
            clock_synced=self._clock_synced(),
        )

    def _fields(self, name: str) -> dict[str, str]:
        try:
            lines = (self._root / name).read_text().splitlines()
        except OSError:
            return {}
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

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

    def _temperature(self) -> float | None:
        readings = []
        for zone in sorted((self._root / "sys/class/thermal").glob("thermal_zone*/temp")):
            try:
                readings.append(int(zone.read_text()) / 1000)
            except (OSError, ValueError):
                continue
        return round(max(readings), 1) if readings else None

    def _disk_free_mb(self) -> float | None:
        try:
            free = os.statvfs(self._state_folder)
        except OSError:
            return None
        return round(free.f_bavail * free.f_frsize / 2**20, 1)

    def _clock_synced(self) -> bool | None:
        if not (self._root / "run/systemd/timesync").is_dir():
            return None
        return (self._root / "run/systemd/timesync/synchronized").exists()


def _kb_to_mb(text: str | None) -> float | None:
    return round(int(text.split()[0]) / 1024, 1) if text else None
