"""Decodes and scales pictures to the network's input with the code that the daemon uses."""

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError, EdgeInspectError, PictureError
from edge.core.image import EncodedPicture, open_picture
from edge.inspection import InputSpec, model_input
from trainer.data.dataset import Sample
from trainer.data.folder_layout import MAX_NAMES

Progress = Callable[[int, int], None]
Read = Callable[[int, EncodedPicture], NDArray[np.uint8]]  # number and file to model input
BATCH = 64


def load_pictures(
    samples: Sequence[Sample], spec: InputSpec, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """The model's input for each sample: uint8, (n, *spec.shape), RGB or grey, 0 to 255.

    One original is in memory at a time. `progress` receives the number done and the total.
    Raises DatasetError that names the first ten unreadable pictures and their number.
    """
    pictures = np.empty((len(samples), *spec.shape), np.uint8)
    for at, picture in enumerate(_each(samples, spec, progress)):
        pictures[at] = picture
    return pictures


def batches_of(
    samples: Sequence[Sample], spec: InputSpec, progress: Progress | None = None
) -> Iterator[NDArray[np.uint8]]:
    """As `load_pictures`, in batches of at most 64; one batch is in memory at a time.

    DatasetError about unreadable pictures follows the last batch.
    """
    batch = np.empty((BATCH, *spec.shape), np.uint8)
    filled = 0
    for picture in _each(samples, spec, progress):
        batch[filled] = picture
        filled += 1
        if filled == BATCH:
            yield batch.copy()
            filled = 0
    if filled:
        yield batch[:filled].copy()


def map_pictures(
    samples: Sequence[Sample],
    spec: InputSpec,
    file: Path,
    progress: Progress | None = None,
    read: Read | None = None,
) -> NDArray[np.uint8]:
    """As `load_pictures`, but mapped from `file`, so that the number of pictures has no limit.

    The result is read-only. Indexing copies the rows from the file; only these are in memory. An
    existing file is used unchecked, so its name must identify its content. The file is written
    atomically. `read` makes the model's input; None: as the box does. Raises DatasetError, and
    EdgeInspectError when the file cannot be written.
    """
    shape = (len(samples), *spec.shape)
    if not file.exists():
        half = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with half.open("wb") as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                # Written, not mapped: a full disk then raises an error and the process survives.
                for picture in _each(samples, spec, progress, read):
                    stream.write(picture.tobytes())
            half.replace(file)
        except OSError as error:
            raise EdgeInspectError(
                f"{file}: cannot be written ({error.strerror}); the pictures need "
                f"{np.prod(shape) / 1e6:.0f} MB there: make room, or name another disk "
                "(edge-train: -o, edge-convert: the environment variable TMPDIR)"
            ) from error
        finally:
            half.unlink(missing_ok=True)
    with file.open("rb") as stream:
        np.lib.format.read_magic(stream)
        found, _order, kind = np.lib.format.read_array_header_1_0(stream)
        begin = stream.tell()
    if found != shape or kind != np.uint8:
        raise EdgeInspectError(f"{file}: holds {found}, not {shape}; remove it")
    return _MappedPictures(file, np.uint8, "r", begin, shape)


class _MappedPictures(np.memmap[Any, np.dtype[np.uint8]]):
    """A memory-mapped file of pictures that gives its pages back after each read.

    A plain mapping keeps every page it has read until the system is short of memory. That loses
    nothing, but it hides how little memory a training needs.
    """

    def __getitem__(self, index: Any) -> Any:
        rows = np.array(super().__getitem__(index))
        if isinstance(self.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.base.madvise(mmap.MADV_DONTNEED)
        return rows


def _each(
    samples: Sequence[Sample],
    spec: InputSpec,
    progress: Progress | None,
    read: Read | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Yields one picture at a time, a black one for each unreadable file; raises at the end."""
    broken: list[str] = []
    for at, sample in enumerate(samples):
        try:
            picture = open_picture(sample.path)
            yield model_input(picture, spec) if read is None else read(at, picture)
        except PictureError as error:
            broken.append(str(error))
            yield np.zeros(spec.shape, np.uint8)
        if progress is not None:
            progress(at + 1, len(samples))
    if broken:
        rest = len(broken) - MAX_NAMES
        more = [f"… and {rest} more"] if rest > 0 else []
        head = f"{len(broken)} of {len(samples)} pictures cannot be used; replace or remove them:"
        raise DatasetError("\n  ".join([head, *broken[:MAX_NAMES], *more]))
