"""Runs a measurement in a process of its own, so that its memory is nobody else's: the child is
`python -m MODULE ARGUMENTS…`, which prints one line of JSON."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

REPEATS, QUICK_REPEATS = 5, 3


def ask(module: str, *arguments: object) -> dict[str, float]:
    """What one child measured. Its errors go to ours. Raises CalledProcessError."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def rounds(
    times: int, sizes: Sequence[int], measure: Callable[[int], dict[str, float]], *, warm: bool
) -> dict[str, dict[float, list[float]]]:
    """Each figure by size, so many times. Every round goes through all sizes, so that what else the
    machine does meets all of them; with `warm`, one round goes before and does not count."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(0 if warm else 1, times + 1):
        for size in sizes:
            for name, value in measure(size).items():
                if number:
                    found[name][size].append(value)
    return found


def cpu_of(work: Callable[[], object], times: int) -> float:
    """CPU seconds of this thread a call."""
    since = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - since) / times
