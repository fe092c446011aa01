"""Pictures as the network sees them, decoded and reduced by the daemon's own path."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import DatasetError, PictureError
from edge.inspection.preprocess import InputSpec, preprocess
from edge.picture import read_picture
from trainer.dataset import Sample
from trainer.manifest import NAMED


def load_pictures(
    samples: Sequence[Sample],
    spec: InputSpec,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """The model's input for each sample: uint8, (n, *spec.shape), RGB or grey, 0 to 255.

    One original is in memory at a time. `progress` is called with how many are done, and of how
    many. Raises DatasetError that names the unreadable pictures: the first ten, and the count.
    """
    pictures = np.empty((len(samples), *spec.shape), np.uint8)
    broken: list[str] = []
    for at, sample in enumerate(samples):
        try:
            pictures[at] = preprocess(read_picture(sample.path), spec)
        except PictureError as error:
            broken.append(str(error))
        if progress is not None:
            progress(at + 1, len(samples))
    if broken:
        rest = len(broken) - NAMED
        more = [f"… and {rest} more"] if rest > 0 else []
        head = f"{len(broken)} of {len(samples)} pictures cannot be used; replace or remove them:"
        raise DatasetError("\n  ".join([head, *broken[:NAMED], *more]))
    return pictures
