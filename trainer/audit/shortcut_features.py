"""Could a classifier cheat? Numbers of the whole picture that tell the classes apart on their own.

A network recognises defective parts by another day, lamp or export of their pictures. That works on
the test set, and fails on the line.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.audit.findings import Shortcut
from trainer.audit.scan import ScannedPicture
from trainer.evaluation import auroc, auroc_interval

NAMED_FROM = 0.75
SURE_FROM = 0.65  # the interval's nearer end: few pictures separate by chance
FEW = 8

NUMBERS: dict[str, Callable[[ScannedPicture], float]] = {
    "brightness": lambda one: one.lighting.brightness,
    "contrast": lambda one: one.lighting.contrast,
    "focus": lambda one: one.lighting.focus,
    "picture size": lambda one: float(one.width * one.height),
    "bytes a pixel": lambda one: one.size / (one.width * one.height),
}


def lighting_by_label(scanned: Sequence[ScannedPicture]) -> dict[str, dict[str, list[float]]]:
    """By label, then by number: lower quarter, median, upper quarter."""
    table: dict[str, dict[str, list[float]]] = {}
    for label in sorted({one.item.label for one in scanned}):
        its = [one for one in scanned if one.item.label == label]
        table[label] = {
            name: [
                round(float(value), 4)
                for value in np.quantile([number(one) for one in its], [0.25, 0.5, 0.75])
            ]
            for name, number in NUMBERS.items()
        }
    return table


def find_shortcuts(
    scanned: Sequence[ScannedPicture], groups: Sequence[str], ok_label: str
) -> list[Shortcut]:
    """Numbers that tell a class, or all defects together, from the good ones; strongest first.

    `groups` names the part of each picture: pictures of one part are not independent.
    """
    labels = np.array([one.item.label for one in scanned])
    parts = np.array(groups)
    classes = sorted(set(labels.tolist()) - {ok_label})
    wholes = [("every defect", labels != ok_label)] if len(classes) > 1 else []
    found = []
    for name, members in [*((label, labels == label) for label in classes), *wholes]:
        kept = members | (labels == ok_label)
        if min(members.sum(), (kept & ~members).sum()) < FEW:
            continue
        for what, number in NUMBERS.items():
            values = np.array([number(one) for one in scanned], np.float64)[kept]
            giveaway = _shortcut(what, name, values, members[kept], parts[kept].tolist())
            if giveaway is not None:
                found.append(giveaway)
    return sorted(found, key=lambda one: -abs(one.auroc - 0.5))


def _shortcut(
    what: str, label: str, values: NDArray[np.float64], bad: NDArray[np.bool_], parts: list[str]
) -> Shortcut | None:
    area = auroc(values, bad)
    if max(area, 1 - area) < NAMED_FROM:
        return None
    interval = auroc_interval(values, bad, parts)
    nearer = min(max(end, 1 - end) for end in interval)
    crosses = interval[0] <= 0.5 <= interval[1]
    return None if crosses or nearer < SURE_FROM else Shortcut(what, label, area, interval)
