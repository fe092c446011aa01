"""The pictures that show the quantiser which values occur: stratified, from the train set only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Sample

CALIBRATION_PICTURES = 200


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Samples and, in their order, the pictures: uint8, (n, height, width, channels)."""

    samples: tuple[Sample, ...]
    pictures: NDArray[np.uint8]


def choose_calibration(
    samples: Sequence[Sample], count: int = CALIBRATION_PICTURES, seed: int = 0
) -> tuple[Sample, ...]:
    """At most `count` of `samples`, each class as often as every other while it has pictures.

    A rare defect is what the model exists for: drawn by frequency it would hardly be seen, and
    its activations would be clipped. Seeded, without replacement, sorted by file.
    """
    rng = np.random.default_rng(seed)
    shuffled: dict[str, list[Sample]] = {}
    for label in sorted({sample.label for sample in samples}):
        members = sorted((s for s in samples if s.label == label), key=lambda s: s.file)
        shuffled[label] = [members[at] for at in rng.permutation(len(members))]
    chosen: list[Sample] = []
    depth = 0
    while len(chosen) < min(count, len(samples)):
        layer = [members[depth] for members in shuffled.values() if depth < len(members)]
        chosen += layer[: count - len(chosen)]
        depth += 1
    return tuple(sorted(chosen, key=lambda sample: sample.file))


def representative_batches(pictures: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """One float32 batch (1, height, width, channels), 0 to 255, for each picture.

    `pictures` is uint8, (n, height, width, channels), as preprocess leaves them. The first one
    gets one black and one white pixel in opposite corners: else the input's scale would end at the
    brightest value seen, and every raw pixel on the line would be read as darker than it is.
    """
    for at, picture in enumerate(pictures):
        batch = picture[None].astype(np.float32)
        if at == 0:
            batch[0, 0, 0] = 0.0
            batch[0, -1, -1] = 255.0
        yield batch
