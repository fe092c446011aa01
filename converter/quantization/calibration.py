"""Calibration pictures: training pictures that set the value ranges of the quantiser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Sample

CALIBRATION_PICTURES = 200


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Samples and their pictures, uint8, (n, height, width, channels), in the same order."""

    samples: tuple[Sample, ...]
    pictures: NDArray[np.uint8]


def choose_calibration(
    samples: Sequence[Sample], count: int = CALIBRATION_PICTURES, seed: int = 0
) -> tuple[Sample, ...]:
    """At most `count` of `samples`, equally many of each class while a class has pictures.

    Drawn by frequency, a rare defect would hardly appear, and its activations would be clipped.
    Seeded, without replacement, sorted by file.
    """
    rng = np.random.default_rng(seed)
    shuffled: dict[str, list[Sample]] = {}
    for label in sorted({sample.label for sample in samples}):
        members = sorted((s for s in samples if s.label == label), key=lambda s: s.file)
        shuffled[label] = [members[at] for at in rng.permutation(len(members))]
    chosen: list[Sample] = []
    depth = 0
    while len(chosen) < min(count, len(samples)):
        row = [members[depth] for members in shuffled.values() if depth < len(members)]
        chosen += row[: count - len(chosen)]
        depth += 1
    return tuple(sorted(chosen, key=lambda sample: sample.file))


def representative_batches(pictures: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """One float32 batch (1, height, width, channels), 0 to 255, for each picture.

    `pictures` is uint8, (n, height, width, channels), after preprocessing. The first picture gets
    a black and a white pixel in opposite corners. Otherwise the input scale would end at the
    brightest calibration value, and the model would read every pixel too dark.
    """
    for at, picture in enumerate(pictures):
        batch = picture[None].astype(np.float32)
        if at == 0:
            batch[0, 0, 0] = 0.0
            batch[0, -1, -1] = 255.0
        yield batch
