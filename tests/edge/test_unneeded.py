"""Pages that only starting needed are given back, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

from edge.unneeded import _code, give_back

# as the kernel writes it: code, constants, code that was written, data, shared memory, memory
# without a file, and the kernel's own
SMAPS = """\
7f00a0000000-7f00a0010000 r-xp 00001000 08:01 1234    /usr/lib/lib one.so
Size:                 64 kB
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
7f00a0010000-7f00a0018000 r--p 00011000 08:01 1234    /usr/lib/lib one.so
Rss:                  32 kB
Anonymous:             0 kB
7f00a0018000-7f00a001a000 r-xp 00019000 08:01 1234    /usr/lib/lib one.so
Rss:                   8 kB
Anonymous:             8 kB
7f00a001a000-7f00a001b000 rw-p 0001b000 08:01 1234    /usr/lib/lib one.so
Anonymous:             4 kB
7f00a0020000-7f00a0030000 r-xs 00000000 00:01 77      /memfd:camera (deleted)
Anonymous:             0 kB
7f00a0030000-7f00a0040000 rw-p 00000000 00:00 0
Anonymous:            64 kB
7f00a0040000-7f00a0042000 r-xp 00000000 00:00 0       [vdso]
Anonymous:             0 kB
7f00a0050000-7f00a0060000 r-xp 00000000 08:01 1235    /usr/lib/other.so
Anonymous:             0 kB
"""


def test_only_code_that_stands_in_its_file(tmp_path: Path) -> None:
    """Not what was written, not constants, of which some were, not what has no file."""
    (tmp_path / "smaps").write_text(SMAPS)
    assert _code(tmp_path) == [(0x7F00A0000000, 0x10000), (0x7F00A0050000, 0x10000)]


def test_a_kernel_that_knows_of_nothing_written_is_not_believed(tmp_path: Path) -> None:
    """An emulator that says 0 everywhere: what was written could not be told from what was not."""
    (tmp_path / "smaps").write_text(re.sub(r"\d+ kB", "0 kB", SMAPS))
    assert _code(tmp_path) == []


def test_a_kernel_that_does_not_tell_costs_nothing(tmp_path: Path) -> None:
    """Without smaps nothing is given back."""
    assert give_back(tmp_path) == 0


def test_a_process_is_smaller_and_works_on() -> None:
    """A process that has loaded OpenCV and NumPy weighs at least 5 MB less, and still computes."""
    program = """
import cv2, numpy as np
from edge.unneeded import give_back
def weighs():
    line = next(x for x in open("/proc/self/status") if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
before, scaled = weighs(), cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
assert give_back() > 0
after = weighs()
for _ in range(2):
    assert (cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) == scaled).all()
    give_back()
print(before - after)
"""
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert float(said.stdout) > 5
