"""Gives back the memory that only starting needed.

A program's code comes into memory from its files as it is run, with some of what lies beside it.
Most of a runtime's is run once, when it is loaded. The kernel would take it back when it is short
of memory; whoever asks it to do so now has a smaller process, and what is needed again comes from
the page cache, a microsecond for sixteen pages.
"""

import ctypes
import logging
import re
from pathlib import Path

log = logging.getLogger(__name__)

_DONTNEED = 4  # madvise(2)
_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ \S+ \d+ *(/?)")
_CHANGED = re.compile(r"Anonymous: +([0-9]+) kB")


def give_back(process: Path = Path("/proc/self")) -> int:
    """Lets go of this process's code. Returns of how many bytes of files; of none where the kernel
    does not tell what is what."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.malloc_trim(0)
    given = 0
    for start, size in _code(process):
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED) == 0:
            given += size
    return given


def _code(process: Path) -> list[tuple[int, int]]:
    """Address and size of what is run, cannot be written, and never was: a page that was written
    would be lost. Constants stay: some were written once, and made read only then."""
    try:
        text = (process / "smaps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found: list[tuple[int, int]] = []
    tells = False  # every process has written something; an emulator may say that it has not
    at: tuple[int, int] | None = None
    for line in text.splitlines():
        if (head := _HEAD.match(line)) is not None:
            start, end = int(head[1], 16), int(head[2], 16)
            at = (start, end - start) if head[3] == "r-xp" and head[4] else None
        elif (changed := _CHANGED.match(line)) is not None:
            tells = tells or int(changed[1]) > 0
            if at is not None and int(changed[1]) == 0:
                found.append(at)
            at = None
    return found if tells else []
