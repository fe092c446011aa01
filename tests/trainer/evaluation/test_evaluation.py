"""The definitions of escape and false reject."""

import numpy as np

from edge.inspection.decision import Thresholds
from trainer.evaluation.metrics import evaluate


def test_escapes_are_defects_that_pass_and_false_rejects_good_parts_that_fail() -> None:
    """Escapes and false rejects are counted by true class; a review is neither."""
    judged = [
        ("ok", 0.1, 4),  # passes
        ("ok", 0.5, 3),  # for review
        ("ok", 0.9, 1),  # a false reject
        ("scratch", 0.2, 2),  # an escape
        ("scratch", 0.6, 1),  # for review
        ("dent", 0.3, 3),  # an escape
        ("dent", 0.95, 7),  # caught
    ]
    labels = [label for label, _, count in judged for _ in range(count)]
    scores = np.array([score for _, score, count in judged for _ in range(count)])
    groups = [str(number) for number in range(len(labels))]
    at = Thresholds(reject_at=0.8, review_from=0.4)
    found = evaluate(scores, labels, groups, at, "ok")
    assert (found.escapes.k, found.escapes.n) == (5, 13)
    assert (found.false_rejects.k, found.false_rejects.n) == (1, 8)
    assert (found.reviews.k, found.reviews.n) == (4, 21)
    assert found.confusion["dent"] == {"pass": 3, "review": 0, "fail": 7}
