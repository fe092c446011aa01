"""Reads CPU time, memory and context switches of a process and its descendants from /proc."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
Switches = dict[tuple[int, int], int]  # by process and thread


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory in MB of 2^20 bytes.

    - `pss`: a shared page counts by its share.
    - `standalone`: a file page counts whole, once, as if no other program had the file open.
    """

    pss: float
    standalone: float


class ProcessTree:
    """A process and its descendants. A process that ends during the reading counts as nothing."""

    def __init__(self, pid: int, proc: Path = _PROC) -> None:
        """`proc` is a fixture tree in tests."""
        self.pid, self._proc = pid, proc

    def pids(self) -> list[int]:
        """The living processes; the root comes first."""
        children: dict[int, list[int]] = defaultdict(list)
        for entry in self._proc.iterdir():
            if entry.name.isdigit() and (fields := self._stat(int(entry.name))):
                children[int(fields[1])].append(int(entry.name))
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += sorted(children[pid], reverse=True)
        return found

    def cpu_s(self) -> float:
        """User and system seconds, with those of descendants that have ended."""
        ticks = 0
        for pid in self.pids():
            if fields := self._stat(pid):
                ticks += sum(int(n) for n in fields[11:15])
        return ticks / _TICKS

    def pss_mb(self) -> float:
        """Proportional set size of the tree in MB. A page that two processes share counts once."""
        return sum(self._pss_kb(pid) for pid in self.pids()) / 1024

    def memory(self) -> MemoryUse:
        """Memory counted in both ways. Slow, because it reads every mapping."""
        files: dict[tuple[str, str], int] = {}
        own = 0
        for pid in self.pids():
            for file, offset, rss, pss in self._mappings(pid):
                if file:
                    key = file, offset
                    files[key] = max(files.get(key, 0), rss)
                else:
                    own += pss
        return MemoryUse(self.pss_mb(), (own + sum(files.values())) / 1024)

    def switches(self) -> Switches:
        """The context switches of each thread, which equal its wake-ups."""
        found: Switches = {}
        for pid in self.pids():
            for task in self._list(f"{pid}/task"):
                lines = self._text(f"{pid}/task/{task}/status").splitlines()
                counts = [int(line.split()[1]) for line in lines if "ctxt_switches:" in line]
                if counts:
                    found[pid, int(task)] = sum(counts)
        return found

    def _stat(self, pid: int) -> list[str]:
        """The fields after the name: state, parent, …; empty when the process has ended."""
        return self._text(f"{pid}/stat").rpartition(")")[2].split()

    def _pss_kb(self, pid: int) -> int:
        for line in self._text(f"{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        return 0

    def _mappings(self, pid: int) -> list[tuple[str, str, int, int]]:
        """File (empty for anonymous memory), offset, resident and proportional kB of mappings."""
        found: list[tuple[str, str, int, int]] = []
        file = offset = ""
        rss = anonymous = 0
        for line in self._text(f"{pid}/smaps").splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                path = words[5] if len(words) > 5 else ""
                file, offset = (path if path.startswith("/") else ""), words[2]
                if "memfd:" in path or path.startswith("/dev/"):
                    file = ""  # only this tree maps it, so PSS is right
            elif words[0] == "Rss:":
                rss = int(words[1])
            elif words[0] == "Pss:":
                found.append((file, offset, rss, int(words[1])))
            elif words[0] == "Anonymous:" and file:
                anonymous = int(words[1])
                found[-1] = file, offset, rss - anonymous, 0
                found.append(("", "", anonymous, anonymous))  # written pages are private
        return found

    def _text(self, name: str) -> str:
        try:
            return (self._proc / name).read_text(encoding="ascii", errors="replace")
        except (OSError, ValueError):
            return ""

    def _list(self, name: str) -> list[str]:
        try:
            return [entry.name for entry in (self._proc / name).iterdir()]
        except OSError:
            return []


def wakeups_between(before: Switches, after: Switches) -> int:
    """The context switches between two samples. An ended thread is not counted."""
    return sum(max(0, count - before.get(thread, 0)) for thread, count in after.items())
