"""The sets of a data set as a network takes them: pictures in files, class and group numbers."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.inspection import InputSpec
from trainer.data.dataset import SET_NAMES, Dataset
from trainer.data.folder_layout import SetName
from trainer.data.pictures import map_pictures


@dataclass(frozen=True, slots=True)
class LabelledArrays:
    """Pictures with their class and group numbers.

    - `pictures`: uint8, (n, height, width, channels); may be a memory-mapped file, of which only
      batches are copied.
    - `classes`: int, (n,); 0 is `ok`.
    - `groups`: int, (n,), equal for pictures of one physical part; None when no two pictures
      show one part.
    """

    pictures: NDArray[np.uint8]
    classes: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None


def load_sets(
    data: Dataset,
    fingerprint: str,
    spec: InputSpec,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[SetName, LabelledArrays]:
    """The train, validation and test set, their pictures mapped from files in `folder`.

    `fingerprint` is the data set's. A file name holds a hash of it and of `spec`, so files of
    other pictures or of another input are never used.
    Raises DatasetError for unreadable pictures, EdgeInspectError when the disk is full.
    """
    group_numbers = {g: at for at, g in enumerate(sorted({s.group for s in data.samples}))}
    found: dict[SetName, LabelledArrays] = {}
    for set_name in SET_NAMES:
        samples = data.of(set_name)
        content = "\n".join([fingerprint, json.dumps(spec.to_dict()), *(s.file for s in samples)])
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        found[set_name] = LabelledArrays(
            pictures=map_pictures(samples, spec, folder / f"{set_name}-{key}.npy", progress),
            classes=np.array([data.labels.index(s.label) for s in samples], np.int64),
            groups=np.array([group_numbers[s.group] for s in samples], np.int64),
        )
    return found
