"""`edge-inspect run` under a wall clock that is off:

    python -m tests.system.shifted OFFSET CONFIG

OFFSET is a file of one double, seconds, which may change at any time."""

import sys
from pathlib import Path

from tests.loss.box import shift_the_clock

if __name__ == "__main__":
    shift_the_clock(Path(sys.argv[1]))
    from edge.__main__ import main

    sys.exit(main(["run", "-c", sys.argv[2]]))
