"""Visual words: scores pairs of pictures by the rare key points they share, at any rotation.

The method is text search (Sivic and Zisserman, 2003). A key point stands for the nearest sampled
descriptors, its words; a picture is a bag of words, and rare words weigh more. Products of sparse
tables compare all pictures at once. Mirrored descriptors find mirror images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.core import optional_import

MAX_WORDS = 8192
WORDS_PER_POINT = 3  # the nearest word alone often differs in a copy
SAMPLE_SIZE = 1500  # pictures from which the vocabulary is learned
DESCRIPTOR_AXES = 48  # of 128: the rest of a descriptor is mostly noise
BLOCK_POINTS = 512
BLOCK_PICTURES = 128  # whose descriptors are in memory at once


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words are rows of `centres`, (words, 48): (descriptor − `middle`) @ `axes`."""

    middle: Plane
    axes: Plane
    centres: Plane

    def words_of(self, descriptors: Plane) -> NDArray[np.int64]:
        """The words of each key point: int, (k, 3), from descriptors, float32, (k, 128)."""
        points = (descriptors - self.middle) @ self.axes
        length = (self.centres**2).sum(axis=1)
        words = np.empty((len(points), WORDS_PER_POINT), np.int64)
        for start in range(0, len(points), BLOCK_POINTS):
            block = slice(start, start + BLOCK_POINTS)
            distances = length - 2 * points[block] @ self.centres.T
            numbers = np.arange(len(distances))
            for place in range(WORDS_PER_POINT):  # a tenth of the time of a partial sort
                words[block, place] = nearest = distances.argmin(axis=1)
                distances[numbers, nearest] = np.inf
        return words


def shared_word_scores(
    store: FingerprintStore, blocks: list[slice]
) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
    """For each block of rows the similarity to all rows, plain and mirrored.

    Both are float32, (rows, n), 0 to 1.
    """
    vocabulary = _learn_vocabulary(store)
    if vocabulary is None:
        return
    sparse = optional_import("scipy.sparse")
    n = len(store)
    few = [slice(at, min(at + BLOCK_PICTURES, n)) for at in range(0, n, BLOCK_PICTURES)]
    upright, mirror = (
        sparse.vstack(
            [_word_counts(store, rows, vocabulary, mirrored=mirrored) for rows in few],
            format="csr",
        )
        for mirrored in (False, True)
    )
    used = np.asarray((upright > 0).sum(axis=0)).ravel()
    rarity = sparse.diags(np.maximum(np.log((n + 1) / (used + 0.5)), 0).astype(np.float32))
    upright, mirror = _normalised(upright @ rarity), _normalised(mirror @ rarity)
    columns = upright.T.tocsr()
    for rows in blocks:
        yield rows, (upright[rows] @ columns).toarray(), (mirror[rows] @ columns).toarray()


def _learn_vocabulary(store: FingerprintStore) -> Vocabulary | None:
    """Samples random key points as words: they work as well as cluster centres and cost nothing."""
    n = len(store)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(n, min(n, SAMPLE_SIZE), replace=False))
    ends = np.cumsum(store.counts[chosen])
    total = int(ends[-1])
    if total < 64:
        return None
    count = min(MAX_WORDS, max(16, total // 8))
    wanted = np.zeros(total, np.bool_)
    wanted[rng.choice(total, count, replace=False)] = True
    words = np.concatenate(
        [
            store.descriptors(row)[kept]
            for row, kept in zip(chosen.tolist(), np.split(wanted, ends[:-1]))
        ]
    )
    middle = words.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(words.T))
    axes = np.asarray(axes[:, ::-1][:, :DESCRIPTOR_AXES], np.float32)
    return Vocabulary(middle, axes, (words - middle) @ axes)


def _word_counts(
    store: FingerprintStore, rows: slice, vocabulary: Vocabulary, *, mirrored: bool
) -> Any:
    """How often each picture of a block has each word: sparse, (rows, words)."""
    words = vocabulary.words_of(store.descriptor_rows(rows, mirrored=mirrored))
    counts = store.counts[rows]
    owner = np.repeat(np.arange(len(counts)), counts * WORDS_PER_POINT)
    table = optional_import("scipy.sparse").csr_matrix(
        (np.ones(words.size, np.float32), (owner, words.ravel())),
        shape=(len(counts), len(vocabulary.centres)),
    )
    table.sum_duplicates()
    table.data = np.minimum(table.data, 2)  # a texture repeats its words: more says little
    return table


def _normalised(table: Any) -> Any:
    """The rows of a sparse table, scaled to length 1."""
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel()) + 1e-6
    return optional_import("scipy.sparse").diags((1 / length).astype(np.float32)).tocsr() @ table
