"""The work on pairs that processes share: align them, and compare their pictures.

The processes read the fingerprints from the store's files.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from trainer.audit.alignment import Alignment, CoarseMatch, SharedStructure
from trainer.audit.candidates import Candidate, Pair
from trainer.audit.compared_picture import ComparedPicture
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pair_alignment import (
    coarse_matches,
    fine_match,
    match_without,
    pose_from_support,
)
from trainer.audit.pixel_match import match_pixels
from trainer.audit.pose import Pose

ReadPicture = Callable[[int], ComparedPicture | None]

CACHED_PICTURES = 512  # 0.2 MB each; pairs are sorted, so the next pairs need the same pictures


@dataclass(frozen=True, slots=True)
class PairJob:
    """The data that a process needs besides the pairs. `read` reads the picture of a row again."""

    store: FingerprintStore
    common: SharedStructure
    read: ReadPicture

    def in_process(self) -> "PairJob":
        """The job with a cache of pictures."""
        return replace(self, read=lru_cache(CACHED_PICTURES)(self.read))

    def coarse(self, entry: tuple[Pair, Candidate]) -> list[CoarseMatch]:
        """The best poses at half size."""
        pair, candidate = entry
        return coarse_matches(self.store, pair, candidate, self.common)

    def fine(self, entry: tuple[Pair, list[Pose]]) -> Alignment | None:
        """The alignment at full thumbnail size."""
        pair, starts = entry
        return fine_match(self.store, pair, starts, self.common)

    def pixels(self, entry: tuple[Pair, Alignment, bool]) -> Alignment | None:
        """The alignment with the comparison of the pictures; None for an unreadable picture.

        The entry's last value: whether to search key points in the pictures.
        """
        pair, match, by_points = entry
        first, second = (self.read(row) for row in pair)
        if first is None or second is None:
            return None
        fitted = pose_from_support(self.store, pair, match.pose)
        poses = [match.pose] if fitted is None else [match.pose, fitted]
        found = match_pixels(first, second, poses, match.support, by_points=by_points)
        return replace(match, pixel_match=found)

    def family(self, entry: tuple[Pair, Alignment, SharedStructure]) -> Alignment:
        """The alignment compared without the structure of a family."""
        pair, match, common = entry
        return match_without(self.store, pair, match, common)
