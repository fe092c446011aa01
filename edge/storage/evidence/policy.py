"""Which verdicts are kept as evidence, and why. Pure, but for the draw of the random sample."""

import random
from collections.abc import Callable

from edge.config import ArchiveConfig
from edge.core.verdict import Verdict
from edge.storage.evidence.record import Why

_RANDOM = random.SystemRandom()


class EvidencePolicy:
    """`keep`, `near_threshold` and `pass_sample` of `archive:`. Safe between threads."""

    def __init__(self, config: ArchiveConfig, draw: Callable[[], float] = _RANDOM.random) -> None:
        """`draw`: a number from 0 to 1, 1 not included, independent of all others."""
        self._config, self._draw = config, draw

    def why(self, verdict: Verdict) -> tuple[Why, ...]:
        """The reasons to keep a verdict's picture; none: it is not kept.

        Every `pass` is drawn for the sample, also one that is kept for another reason: only so is
        the sample a random one of all of them.
        """
        reasons: list[Why] = []
        if verdict.verdict in self._config.keep:
            reasons.append("verdict")
        if self._is_near_threshold(verdict):
            reasons.append("near_threshold")
        rate = self._config.pass_sample
        if verdict.verdict == "pass" and rate > 0 and self._draw() < rate:
            reasons.append("sample")
        return tuple(reasons)

    def _is_near_threshold(self, verdict: Verdict) -> bool:
        distance = self._config.near_threshold
        if distance == 0 or verdict.score is None:
            return False
        thresholds = (verdict.reject_at, verdict.review_from)
        return any(at is not None and abs(verdict.score - at) <= distance for at in thresholds)
