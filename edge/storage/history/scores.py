"""The score histogram of a minute, as bytes: for each bin that is not empty its number and count.

A good part's scores fall into few bins, so a minute takes about ten bytes instead of forty.
"""

from collections import Counter

from edge.storage.history.records import BINS

_MICRO = 1_000_000


def bin_of(score: int) -> int:
    """The bin of a score in millionths."""
    return min(BINS - 1, score * BINS // _MICRO)


def write_scores(counts: Counter[int]) -> bytes:
    """`counts`: by bin."""
    data = bytearray()
    for place in sorted(counts):
        data.append(place)
        left = counts[place]
        while left > 0x7F:
            data.append(left & 0x7F | 0x80)
            left >>= 7
        data.append(left)
    return bytes(data)


def read_scores(data: bytes) -> dict[int, int]:
    """Counts by bin. Wrong bytes give wrong counts, never an error."""
    counts: dict[int, int] = {}
    place, count, shift = None, 0, 0
    for byte in data:
        if place is None:
            place, count, shift = byte, 0, 0
            continue
        count |= (byte & 0x7F) << shift
        shift += 7
        if byte <= 0x7F:
            if place < BINS:
                counts[place] = count
            place = None
    return counts
