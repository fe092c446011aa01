"""What the kernel says of the daemon and all that it started: CPU, memory, threads."""

import re
import time
from pathlib import Path

import psutil

_CPU_OF = 2  # clock_getcpuclockid(3) in the kernel's own terms: all threads of a process, exact


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def cpu_s(pid: int) -> float:
    """CPU seconds of the tree's living processes so far, user and system, to the microsecond."""
    return sum(time.clock_gettime((~one << 3) | _CPU_OF) for one in tree(pid))


def pss(pid: int) -> int:
    """Bytes of memory of the tree; what is shared with others counts by its share."""
    total = 0
    for one in tree(pid):
        text = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
        total += 1024 * sum(int(kb) for kb in re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE))
    return total


def own_memory(pid: int) -> int:
    """Bytes of the tree that are no file's: of these, other processes have their share, and it
    comes and goes with them."""
    total = 0
    for one in tree(pid):
        text = Path(f"/proc/{one}/status").read_text(encoding="ascii", errors="replace")
        total += 1024 * sum(int(kb) for kb in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", text))
    return total


def threads(pid: int) -> int:
    """Threads of the tree."""
    return sum(psutil.Process(one).num_threads() for one in tree(pid))
