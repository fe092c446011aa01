"""Compares reduced decoding with whole decoding on the pictures of the running cameras.

One of `EVERY` pictures that were decoded at reduced scale is also judged whole. When too many
verdicts differ, all pictures are decoded whole from then on.
"""

import logging
import threading

from edge.inspection import Judgement

log = logging.getLogger(__name__)

EVERY = 500
LIMIT = 0.005  # share of the compared verdicts that may differ; one difference is always allowed


class DecodeParity:
    """Safe between threads. `holds`: whether pictures may be decoded at reduced scale."""

    def __init__(self, every: int = EVERY) -> None:
        """The first of `every` reduced pictures is compared."""
        self.compared = self.flips = 0
        self.holds = True
        self._every, self._seen = every, 0
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether to judge this reduced picture whole, too."""
        with self._lock:
            self._seen += 1
            return self._seen % self._every == 1 % self._every

    def note(self, camera: str, reduced: Judgement, whole: Judgement) -> None:
        """Counts the two judgements of one region of a picture."""
        with self._lock:
            self.compared += 1
            if reduced.outcome == whole.outcome:
                return
            self.flips += 1
            log.warning(
                "camera %s: a picture is %s (%.4f) at reduced scale and %s (%.4f) whole; the "
                "latter counts",
                camera,
                reduced.outcome,
                reduced.score,
                whole.outcome,
                whole.score,
            )
            if self.holds and self.flips > max(1.0, LIMIT * self.compared):
                self.holds = False
                log.error("decoding: %s", self.trouble)

    @property
    def trouble(self) -> str:
        """The fault and its fix; empty while `holds`."""
        if self.holds:
            return ""
        return (
            f"{self.flips} of {self.compared} pictures got another verdict at reduced scale; they "
            "are decoded whole now, which is slower: convert the model again with pictures of "
            "these cameras, or set model.decoding: whole"
        )
