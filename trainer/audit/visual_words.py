"""Visual words: rare key points that two pictures share, whatever way they are turned.

As text search does it (Sivic and Zisserman, 2003): a key point is the word whose sample it is
nearest to, a picture is the words it has, rare ones weigh more. Products of sparse tables compare
all pictures at once; mirrored descriptors find mirror images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.core import optional_import

WORDS = 8192
MEANINGS = 3  # words a key point stands for: the nearest alone is too often another in a copy
LEARNED_FROM = 1500  # pictures
AXES = 48  # of 128: the rest of a descriptor is mostly noise
BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words are rows of `centres`, (words, 48): (descriptor − `middle`) @ `axes`."""

    middle: Plane
    axes: Plane
    centres: Plane

    def meanings(self, described: Plane) -> NDArray[np.int64]:
        """The words each key point stands for: int, (k, 3), from float32, (k, 128)."""
        points = (described - self.middle) @ self.axes
        length = (self.centres**2).sum(axis=1)
        words = np.empty((len(points), MEANINGS), np.int64)
        for start in range(0, len(points), BLOCK):
            far = length - 2 * points[start : start + BLOCK] @ self.centres.T
            words[start : start + BLOCK] = np.argpartition(far, MEANINGS, axis=1)[:, :MEANINGS]
        return words


def shared_word_scores(
    store: FingerprintStore, blocks: list[slice]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """For each block of rows how alike they are to all: float32, (rows, n), 0 to 1."""
    vocabulary = _learned(store)
    if vocabulary is None:
        return
    sparse = optional_import("scipy.sparse")
    plain, mirror = (
        sparse.vstack([_table(store, rows, vocabulary, flip) for rows in blocks], format="csr")
        for flip in (False, True)
    )
    n = len(store)
    used = np.asarray((plain > 0).sum(axis=0)).ravel()
    rarity = sparse.diags(np.maximum(np.log((n + 1) / (used + 0.5)), 0).astype(np.float32))
    plain, mirror = _unit(plain @ rarity), _unit(mirror @ rarity)
    columns = plain.T.tocsc()
    for rows in blocks:
        either = [(table[rows] @ columns).toarray() for table in (plain, mirror)]
        yield rows, np.maximum(*either)


def _learned(store: FingerprintStore) -> Vocabulary | None:
    """Random key points serve as words as well as cluster centres do, and cost nothing."""
    n = len(store)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(n, min(n, LEARNED_FROM), replace=False))
    sample = np.concatenate([store.descriptors(int(row)) for row in chosen])
    if len(sample) < 64:
        return None
    middle = sample.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(sample.T))
    axes = np.asarray(axes[:, ::-1][:, :AXES], np.float32)
    count = min(WORDS, max(16, len(sample) // 8))
    centres = (sample[rng.choice(len(sample), count, replace=False)] - middle) @ axes
    return Vocabulary(middle, axes, centres)


def _table(store: FingerprintStore, rows: slice, vocabulary: Vocabulary, mirrored: bool) -> Any:
    """Which words each picture of a block has: sparse, (rows, words)."""
    words = vocabulary.meanings(store.words(rows, mirrored))
    counts = store.counts[rows]
    owner = np.repeat(np.arange(len(counts)), counts * MEANINGS)
    table = optional_import("scipy.sparse").csr_matrix(
        (np.ones(words.size, np.float32), (owner, words.ravel())),
        shape=(len(counts), len(vocabulary.centres)),
    )
    table.sum_duplicates()
    table.data = np.minimum(table.data, 2)  # a texture repeats its word: that says little
    return table


def _unit(table: Any) -> Any:
    """Rows of a sparse table at length 1."""
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel()) + 1e-6
    return optional_import("scipy.sparse").diags((1 / length).astype(np.float32)).tocsr() @ table
