"""Scores of a real model as the population from which test sets are drawn.

Whole parts are drawn with replacement, so that the correlation within a part stays.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.inspection.inspector import load_inspector
from trainer.data import batches_of, load_dataset

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MIN_PARTS = 4  # of a kind


@dataclass(frozen=True, slots=True)
class Pool:
    """Scores, (n,), truth, (n,), and the part of each picture, int, (n,)."""

    scores: Floats
    bad: Bools
    part: NDArray[np.int64]

    def kinds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The parts with a defective picture, and the parts without.

        If fewer than MIN_PARTS have none, all parts are of the first kind.
        """
        every, defective = np.unique(self.part), np.unique(self.part[self.bad])
        good = np.setdiff1d(every, defective)
        return (defective, good) if len(good) >= MIN_PARTS else (every, good[:0])


@dataclass(frozen=True, slots=True)
class Truth:
    """The figures of the whole population. `weight`, (n,), is per picture."""

    pool: Pool
    weight: Floats

    def auroc(self) -> float:
        """P(a defect scores higher than a good picture); ties count half."""
        bad, scores, weight = self.pool.bad, self.pool.scores, self.weight
        order = np.sort(scores[~bad])
        total = np.concatenate([[0], np.cumsum(weight[~bad][np.argsort(scores[~bad])])])
        below, up_to = (np.searchsorted(order, scores[bad], side) for side in ("left", "right"))
        win_share = (total[below] + total[up_to]) / 2 / total[-1]
        return float(np.average(win_share, weights=weight[bad]))

    def average_precision(self, share: float) -> float:
        """The average precision if `share` of the pictures, 0 to 1, is defective."""
        bad, scores, weight = self.pool.bad, self.pool.scores, self.weight
        thresholds = np.unique(scores)[::-1]
        caught, called = (
            np.array([weight[kind & (scores >= threshold)].sum() for threshold in thresholds])
            / weight[kind].sum()
            for kind in (bad, ~bad)
        )
        precision = share * caught / (share * caught + (1 - share) * called)
        return float((precision * np.diff(caught, prepend=0)).sum())

    def escapes(self, threshold: float) -> float:
        """The share of defects that score below the threshold `threshold`."""
        bad = self.pool.bad
        return float(np.average(self.pool.scores[bad] < threshold, weights=self.weight[bad]))

    def false_rejects(self, threshold: float) -> float:
        """The share of good pictures that score at or above the threshold `threshold`."""
        bad = self.pool.bad
        return float(np.average(self.pool.scores[~bad] >= threshold, weights=self.weight[~bad]))


def read_pool(file: Path, data: Path | None, ok_label: str, by: str, sets: Sequence[str]) -> Pool:
    """The pool in `file`: scores.json of a run, or a .tflite that judges the set `data` now.

    `by` is the unit that is drawn, "group" or "picture". Only pictures of the sets `sets` are used,
    if the file names sets.
    """
    if file.suffix == ".json":
        rows = json.loads(file.read_text(encoding="utf-8"))
        rows = [
            (r["label"], r["group"], r["score"]) for r in rows if r.get("part") in (None, *sets)
        ]
    else:
        assert data is not None, "a model needs --data"
        rows = _judged(file, data, sets)
    labels, groups, scores = zip(*rows)
    bad = np.array(labels) != ok_label
    names = np.unique(groups, return_inverse=True)[1] if by == "group" else np.arange(len(rows))
    return Pool(np.array(scores, np.float64), bad, names)


def _judged(model: Path, root: Path, sets: Sequence[str]) -> list[tuple[str, str, float]]:
    inspector = load_inspector(model)
    data = load_dataset(root, inspector.ok_label)
    samples = [one for one in data.samples if one.set_name in sets]
    pictures = (p for batch in batches_of(samples, inspector.input) for p in batch)
    return [(s.label, s.group, inspector.judge(p).score) for s, p in zip(samples, pictures)]


def draw_again(
    pool: Pool, counts: tuple[int, int], rng: np.random.Generator
) -> tuple[Floats, Bools, list[str]]:
    """Scores, truth and parts of a test set. `counts`: parts with and without a defect."""
    drawn = [rng.choice(kind, n) for kind, n in zip(pool.kinds(), counts) if n]
    rows, groups = [], []
    for number, part in enumerate(np.concatenate(drawn)):
        indices = np.flatnonzero(pool.part == part)
        rows.append(indices)
        groups += [str(number)] * len(indices)  # a part that is drawn twice counts as two parts
    at = np.concatenate(rows)
    return pool.scores[at], pool.bad[at], groups


def truth_of(pool: Pool, counts: tuple[int, int]) -> Truth:
    """The population of test sets with `counts` parts of each kind."""
    weight = np.zeros(len(pool.scores))
    for kind, n in zip(pool.kinds(), counts):
        if n:
            weight[np.isin(pool.part, kind)] = n / len(kind)
    return Truth(pool, weight)
