"""Runs a measurement in a process of its own, so that its memory is nobody else's: the child is
`python -m MODULE ARGUMENTS…`, which prints one line of JSON."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

REPEATS, QUICK_REPEATS = 5, 3


def ask(module: str, *arguments: object) -> dict[str, float]:
    """What one child measured. Its errors go to ours. Raises CalledProcessError."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def repeated(times: int, measure: Callable[[], dict[str, float]]) -> dict[str, list[float]]:
    """Each of the figures so many times; the first run warms the file system and does not count."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(times + 1):
        for name, value in measure().items():
            if number:
                found[name].append(value)
    return found


def cpu_of(work: Callable[[], object], times: int) -> float:
    """CPU seconds of this thread a call."""
    since = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - since) / times


def size_on_disk(folder: Path) -> int:
    """Bytes that a folder's files take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
