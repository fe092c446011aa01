"""Which verdicts are kept, and why; the random sample of `pass`."""

import random
from dataclasses import replace

import pytest

from edge.config import ArchiveConfig
from edge.core.verdict import Outcome
from edge.storage.evidence.policy import EvidencePolicy
from tests.support.verdicts import verdict


def policy(draw: float = 0.99, **options: object) -> EvidencePolicy:
    """A policy whose draws all have this value."""
    return EvidencePolicy(ArchiveConfig.read({"enabled": True, **options}), lambda: draw)


@pytest.mark.parametrize(
    ("score", "reasons"),
    [(0.34, ()), (0.351, ("near_threshold",)), (0.449, ("near_threshold",)), (0.46, ())],
)
def test_near_a_threshold(score: float, reasons: tuple[str, ...]) -> None:
    """The score is at most `near_threshold` from review_from (0.4) or reject_at (0.6)."""
    judged = replace(verdict("pass"), score=score)
    assert policy(near_threshold=0.05).why(judged) == reasons


def test_near_reject_at_and_of_a_kept_verdict() -> None:
    """All reasons are named."""
    judged = replace(verdict("fail"), score=0.61)
    assert policy(near_threshold=0.05).why(judged) == ("verdict", "near_threshold")


@pytest.mark.parametrize("outcome", ["review", "fail", "error"])
def test_only_pass_is_sampled(outcome: Outcome) -> None:
    """The sample estimates escapes: it is drawn from `pass` alone."""
    assert policy(draw=0.0, pass_sample=1.0, keep=[]).why(verdict(outcome)) == ()


def test_a_draw_below_the_rate_is_in_the_sample() -> None:
    """Also when the picture is kept for another reason."""
    near = replace(verdict("pass"), score=0.39)
    options = {"pass_sample": 0.01, "near_threshold": 0.05}
    assert policy(draw=0.0099, **options).why(near) == ("near_threshold", "sample")
    assert policy(draw=0.01, **options).why(near) == ("near_threshold",)


def test_without_a_rate_nothing_is_drawn() -> None:
    """The default keeps no `pass`."""
    assert policy(draw=0.0).why(verdict("pass")) == ()


def test_every_pass_is_drawn_once() -> None:
    """Draws do not depend on the score: the sample is a random one of all passes."""
    draws = random.Random(7)
    config = ArchiveConfig.read({"enabled": True, "pass_sample": 0.1, "near_threshold": 0.1})
    sampled = EvidencePolicy(config, draws.random)
    scores = [number / 10_000 for number in range(4000)]
    kept = [s for s in scores if "sample" in sampled.why(replace(verdict("pass"), score=s))]
    expected = random.Random(7)
    assert kept == [s for s in scores if expected.random() < 0.1]
