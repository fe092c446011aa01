"""Gives back what starting has left in memory.

A program's code and constants come into memory from its files as they are touched, with some of
what lies beside them. Most of a runtime's is touched once, when it is loaded. The kernel would take
such pages back when it is short of memory; whoever asks it to do so now has a smaller process, and
what is needed again comes back from the page cache, some microseconds each.
"""

import ctypes
import logging
import re
from pathlib import Path

log = logging.getLogger(__name__)

_DONTNEED = 4  # madvise(2)
_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r-[x-])p [0-9a-f]+ \S+ [1-9]\d* +/")
_CHANGED = re.compile(r"Anonymous: +([0-9]+) kB")


def give_back(process: Path = Path("/proc/self")) -> int:
    """Lets go of the pages of this process that are read only, private, and as they stand in their
    files. Returns of how many bytes of files. Where the kernel does not tell, of none."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.malloc_trim(0)
    given = 0
    for start, size in _unchanged(process):
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED) == 0:
            given += size
    return given


def _unchanged(process: Path) -> list[tuple[int, int]]:
    """Address and size of mappings of files that nobody can write and nobody has written: what was
    written once, and made read only then, would be lost."""
    try:
        lines = (process / "smaps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found, at = [], None
    for line in lines:
        if (head := _HEAD.match(line)) is not None:
            start, end = int(head[1], 16), int(head[2], 16)
            at = start, end - start
        elif not line[:1].isupper():
            at = None  # the head of another kind of mapping
        elif at is not None and (changed := _CHANGED.match(line)) is not None:
            if int(changed[1]) == 0:
                found.append(at)
            at = None
    return found
