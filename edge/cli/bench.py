"""`edge-inspect bench`: hands over to the package edge_bench, which the daemon never imports."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def bench(options: Sequence[str]) -> NoReturn:
    """Replaces this process by `python -m edge_bench`, so that output, signals and the exit code
    are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "edge_bench", *options])  # noqa: S606  no shell is wanted
