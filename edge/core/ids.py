"""Unique ids that sort by time."""

import os
import random
import time

# The kernel seeds it once per process. Ids are not secret and need no further kernel randomness.
_RANDOM = random.Random()
os.register_at_fork(after_in_child=_RANDOM.seed)


def uuid7(unix_ms: int | None = None, random_bytes: bytes | None = None) -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits.

    Python gets `uuid.uuid7` only in 3.14. The arguments exist for tests.
    """
    ms = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    rand = _RANDOM.getrandbits(74) if random_bytes is None else int.from_bytes(random_bytes, "big")
    value = (ms & (2**48 - 1)) << 80 | (rand & (2**80 - 1))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
