"""Finds shortcut features: numbers of the whole picture that alone separate the classes.

When defective parts were photographed on another day, under another lamp or exported differently, a
network learns that difference. It then works on the test set and fails on the line.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.audit.findings import Shortcut
from trainer.audit.scan import ScannedPicture
from trainer.evaluation import auroc, auroc_interval

MIN_AUROC = 0.75
MIN_AUROC_BOUND = 0.65  # of the interval's nearer end: few pictures separate by chance
MIN_PICTURES = 8

MEASUREMENTS: dict[str, Callable[[ScannedPicture], float]] = {
    "brightness": lambda one: one.lighting.brightness,
    "contrast": lambda one: one.lighting.contrast,
    "focus": lambda one: one.lighting.focus,
    "picture size": lambda one: float(one.width * one.height),
    "bytes a pixel": lambda one: one.size / (one.width * one.height),
}


def lighting_by_label(scanned: Sequence[ScannedPicture]) -> dict[str, dict[str, list[float]]]:
    """By label, then by measurement: lower quartile, median, upper quartile."""
    table: dict[str, dict[str, list[float]]] = {}
    for label in sorted({one.item.label for one in scanned}):
        members = [one for one in scanned if one.item.label == label]
        table[label] = {
            name: [
                round(float(value), 4)
                for value in np.quantile([measure(one) for one in members], [0.25, 0.5, 0.75])
            ]
            for name, measure in MEASUREMENTS.items()
        }
    return table


def find_shortcuts(
    scanned: Sequence[ScannedPicture], groups: Sequence[str], ok_label: str
) -> list[Shortcut]:
    """Measurements that separate a class, or all defects, from good parts; strongest first.

    `groups` names the part of each picture: pictures of one part are not independent.
    """
    labels = np.array([one.item.label for one in scanned])
    parts = np.array(groups)
    classes = sorted(set(labels.tolist()) - {ok_label})
    sides = [(label, labels == label) for label in classes]
    if len(classes) > 1:
        sides.append(("every defect", labels != ok_label))
    found = []
    for name, members in sides:
        kept = members | (labels == ok_label)
        if min(members.sum(), (kept & ~members).sum()) < MIN_PICTURES:
            continue
        for what, measure in MEASUREMENTS.items():
            values = np.array([measure(one) for one in scanned], np.float64)[kept]
            shortcut = _shortcut(what, name, values, members[kept], parts[kept].tolist())
            if shortcut is not None:
                found.append(shortcut)
    return sorted(found, key=lambda one: -abs(one.auroc - 0.5))


def _shortcut(
    what: str, label: str, values: NDArray[np.float64], bad: NDArray[np.bool_], parts: list[str]
) -> Shortcut | None:
    area = auroc(values, bad)
    if max(area, 1 - area) < MIN_AUROC:
        return None
    interval = auroc_interval(values, bad, parts)
    nearer = min(max(end, 1 - end) for end in interval)
    crosses = interval[0] <= 0.5 <= interval[1]
    return None if crosses or nearer < MIN_AUROC_BOUND else Shortcut(what, label, area, interval)
