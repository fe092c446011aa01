"""Pictures as the network sees them, decoded and reduced by the daemon's own path."""

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError, EdgeInspectError, PictureError
from edge.core.image import read_picture
from edge.inspection import InputSpec, preprocess
from trainer.data.dataset import Sample
from trainer.data.manifest import MAX_NAMES

Progress = Callable[[int, int], None]
BATCH = 64


def load_pictures(
    samples: Sequence[Sample], spec: InputSpec, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """The model's input for each sample: uint8, (n, *spec.shape), RGB or grey, 0 to 255.

    One original is in memory at a time. `progress` is called with how many are done, and of how
    many. Raises DatasetError that names the unreadable pictures: the first ten, and the count.
    """
    pictures = np.empty((len(samples), *spec.shape), np.uint8)
    for at, picture in enumerate(_each(samples, spec, progress)):
        pictures[at] = picture
    return pictures


def batches_of(
    samples: Sequence[Sample], spec: InputSpec, progress: Progress | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The same, at most 64 pictures at a time and never more in memory.

    The error about unreadable pictures comes after the last batch.
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
    samples: Sequence[Sample], spec: InputSpec, file: Path, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """The same as `load_pictures`, kept in `file`, so that any number fits.

    What comes back is read-only; its rows are read from the file when they are asked for, as
    copies, and only those are in memory. A file that is there already is taken as it is: name it
    by what decides its content. It appears whole or not at all. Raises DatasetError, and
    EdgeInspectError when it cannot be written.
    """
    shape = (len(samples), *spec.shape)
    if not file.exists():
        half = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with half.open("wb") as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                # written, not mapped: a full disk is then an error and not the end of the process
                for picture in _each(samples, spec, progress):
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
        there, _order, kind = np.lib.format.read_array_header_1_0(stream)
        begin = stream.tell()
    if there != shape or kind != np.uint8:
        raise EdgeInspectError(f"{file}: holds {there}, not {shape}; remove it")
    return _MappedPictures(file, np.uint8, "r", begin, shape)


class _MappedPictures(np.memmap[Any, np.dtype[np.uint8]]):
    """Pictures in a file of which only the rows in use are in memory.

    A plain mapping would keep every page that was ever looked at until the system is short of
    memory: that loses nothing, but hides how little memory a training needs.
    """

    def __getitem__(self, index: Any) -> Any:
        rows = np.array(super().__getitem__(index))
        if isinstance(self.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.base.madvise(mmap.MADV_DONTNEED)
        return rows


def _each(
    samples: Sequence[Sample], spec: InputSpec, progress: Progress | None
) -> Iterator[NDArray[np.uint8]]:
    """The pictures, one at a time; a black one for each that cannot be read, and the error last."""
    broken: list[str] = []
    for at, sample in enumerate(samples):
        try:
            yield preprocess(read_picture(sample.path), spec)
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
