"""The sets of a data set as a network takes them: pictures in files, class and group numbers."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.image import EncodedPicture
from edge.inspection import InputSpec
from trainer.data.dataset import SET_NAMES, Dataset
from trainer.data.folder_layout import SetName
from trainer.data.pictures import map_pictures
from trainer.data.varied_decoding import varied_input


@dataclass(frozen=True, slots=True)
class LabelledArrays:
    """Pictures with their class and group numbers.

    - `pictures`: uint8, (n, height, width, channels); may be a memory-mapped file, of which only
      batches are copied.
    - `classes`: int, (n,); 0 is `ok`.
    - `varied`: as `pictures`, each read another way (trainer/data/varied_decoding.py); None: they
      are not varied.
    - `groups`: int, (n,), equal for pictures of one physical part; None when no two pictures
      show one part.
    """

    pictures: NDArray[np.uint8]
    classes: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    varied: NDArray[np.uint8] | None = None

    def drawn(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
        """A copy of some pictures, about half of them read another way."""
        pictures = np.array(self.pictures[rows])
        if self.varied is not None:
            chosen = rng.random(len(rows)) < 0.5
            pictures[chosen] = self.varied[rows[chosen]]
        return pictures


def load_sets(
    data: Dataset,
    fingerprint: str,
    spec: InputSpec,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    varied: bool = False,
) -> dict[SetName, LabelledArrays]:
    """The train, validation and test set, their pictures mapped from files in `folder`.

    `fingerprint` is the data set's. A file name holds a hash of it and of `spec`, so files of
    other pictures or of another input are never used. `varied`: with other readings of the train
    set. Raises DatasetError for unreadable pictures, EdgeInspectError when the disk is full.
    """
    group_numbers = {g: at for at, g in enumerate(sorted({s.group for s in data.samples}))}
    found: dict[SetName, LabelledArrays] = {}
    for set_name in SET_NAMES:
        samples = data.of(set_name)
        content = "\n".join([fingerprint, json.dumps(spec.to_dict()), *(s.file for s in samples)])
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        file = folder / f"{set_name}-{key}.npy"
        others = None
        if varied and set_name == "train":
            other_file = file.with_stem(f"{file.stem}-varied")
            others = map_pictures(samples, spec, other_file, progress, partial(_varied, spec))
        found[set_name] = LabelledArrays(
            pictures=map_pictures(samples, spec, file, progress),
            classes=np.array([data.labels.index(s.label) for s in samples], np.int64),
            groups=np.array([group_numbers[s.group] for s in samples], np.int64),
            varied=others,
        )
    return found


def _varied(spec: InputSpec, number: int, picture: EncodedPicture) -> NDArray[np.uint8]:
    return varied_input(picture, spec, np.random.default_rng(number))
