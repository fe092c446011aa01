"""Handles leaks before a training: sets a few test pictures aside, or refuses the training."""

from edge.core.errors import RefusedError
from trainer.audit.findings import Audit
from trainer.data import Dataset

MAX_EXCLUDED_SHARE = 0.05  # of the test pictures
MAX_EXCLUDED = 10  # test pictures, in a small test set
MAX_NAMES = 3


def max_excluded(data: Dataset) -> int:
    """The most test pictures that a training leaves out."""
    return max(MAX_EXCLUDED, int(MAX_EXCLUDED_SHARE * len(data.of("test"))))


def excluded_test_pictures(data: Dataset, audit: Audit) -> tuple[str, ...]:
    """The test pictures to leave out, so that no part of train is in the test set.

    At most 5 % of the test set or 10 pictures, whichever is more. Raises RefusedError for more
    leaks, and where a class would lose its last test picture.
    """
    if not audit.leaks:
        return ()
    tested = {sample.file: sample.label for sample in data.of("test")}
    leaking = sorted({file for one in audit.leaks for file in (one.file, one.other)} & set(tested))
    left = {label for file, label in tested.items() if file not in set(leaking)}
    most = max_excluded(data)
    if len(leaking) <= most and left == set(tested.values()):
        return tuple(leaking)
    named = "; ".join(
        f"{leak.file} = {leak.other} ({leak.how})" for leak in audit.leaks[:MAX_NAMES]
    )
    rest = len(audit.leaks) - MAX_NAMES
    raise RefusedError(
        f"{data.root}: {'at least ' if audit.stopped else ''}{len(audit.leaks)} pairs of pictures "
        f"show one part on both sides of the split: {named}"
        f"{f' and {rest} more' if rest > 0 else ''}. {len(leaking)} test pictures would have to be "
        f"left out, more than {most} or all of a class. Move each part to one side (`edge-train "
        "audit DATASET --suggest manifest.csv` proposes groups), or train with --allow-leaks, "
        "which the model file will say"
    )
