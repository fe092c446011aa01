"""Finds copies: aligns candidate pairs, then compares the aligned pairs pixel by pixel.

The store has one row for each set of pixel-identical pictures, so equal pictures need no search.
Each step keeps a few pairs a picture, the best ones, so the work grows with the pictures and not
with the pairs of a family of look-alikes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.audit.alignment import MIN_RESIDUAL, Alignment, SharedStructure, shared_structure
from trainer.audit.candidates import THOROUGH, USUAL, Candidates, Pair, SearchBudget, candidates
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.job_processes import JobProcesses, one_thread
from trainer.audit.pair_job import PairJob, ReadPicture
from trainer.audit.total_progress import SPLIT, TotalProgress
from trainer.audit.total_progress import THOROUGH as THOROUGH_STEPS

MAX_COPIES = 24  # a larger group of look-alikes is one design: its pairs are compared again
FAMILY_COMPONENTS = 32
FAMILY_PAIRS = 3  # of a picture, of those that look alike
MIN_RESIDUAL_LIKELY = 0.5  # most copies reach 0.56
MIN_RESIDUAL_FAINT = 0.3  # copies that lost much by clipping: only the best pairs of a picture
MAX_FAINT_PAIRS = 2


@dataclass(frozen=True, slots=True)
class FoundCopies:
    """The pairs of rows (low, high) that are copies or look-alikes, with their alignment.

    - `compared`: the number of pairs whose pictures were read again.
    - `added`: the copies that only the thorough search found.
    - `stopped`: more test pictures leak than allowed, so the search ended early.
    """

    matches: dict[Pair, Alignment] = field(default_factory=dict)
    compared: int = 0
    added: int = 0
    stopped: bool = False


def find_copies(
    store: FingerprintStore,
    common: SharedStructure,
    read: ReadPicture,
    workers: int,
    progress: TotalProgress,
    *,
    sides: Sequence[str] = (),
    thorough: bool = False,
    max_leaking: int | None = None,
) -> FoundCopies:
    """All pairs of rows that are copies or look-alikes.

    - `common`: the structure that all rows share.
    - `read` reads the picture of a row again; more than one of `workers` needs it to be picklable.
    - `sides`: the side of the split of each row. A pair across the split is never left out for
      pairs of one side.
    - `thorough`: looks at more pairs a picture after the usual search.
    - `max_leaking`: the search ends when more test pictures than that have a copy across the split.
    """
    if len(store) < 2:
        return FoundCopies()
    with one_thread(), JobProcesses(PairJob(store, common, read), workers) as pool:
        search = _Search(store, pool, common, sides or [""] * len(store), progress, max_leaking)
        if not search.look(USUAL):
            return FoundCopies(search.certain, len(search.compared), stopped=True)
        usual = len(search.certain)
        if thorough:
            search.look(THOROUGH, THOROUGH_STEPS)
        matches = search.look_alikes() | search.certain
    return FoundCopies(matches, len(search.compared), len(search.certain) - usual)


@dataclass(slots=True)
class _Search:
    """A search in progress: pairs aligned, compared and found so far."""

    store: FingerprintStore
    pool: JobProcesses
    common: SharedStructure
    sides: Sequence[str]
    progress: TotalProgress
    max_leaking: int | None
    tried: set[Pair] = field(default_factory=set)
    aligned: dict[Pair, Alignment] = field(default_factory=dict)
    compared: dict[Pair, bool] = field(default_factory=dict)  # whether by key points too
    certain: dict[Pair, Alignment] = field(default_factory=dict)

    def look(self, budget: SearchBudget, suffix: str = "") -> bool:
        """Searches pairs across the split, then the others; False when too many pictures leak."""
        step = self.progress.step(f"searching copies{suffix}")
        found = candidates(self.store, self.common, budget, step)
        for across, where in ((True, SPLIT), (False, "")):
            todo = {pair: one for pair, one in found.items() if self._across(pair) is across}
            self._look(todo, budget, f"{where}{suffix}")
            if self.max_leaking is not None and self._leaking() > self.max_leaking:
                return False
        return True

    def _across(self, pair: Pair) -> bool:
        return self.sides[pair[0]] != self.sides[pair[1]]

    def _leaking(self) -> int:
        """The test pictures that have a copy across the split."""
        pairs = [pair for pair in self.certain if self._across(pair)]
        return len({row for pair in pairs for row in pair if self.sides[row] == "test"})

    def _look(self, todo: Candidates, budget: SearchBudget, where: str) -> None:
        """Aligns the candidates that were not tried yet, and compares the best."""
        entries = [(pair, todo[pair]) for pair in sorted(todo.keys() - self.tried)]
        self.tried.update(pair for pair, _ in entries)
        coarse = self._map("coarse", entries, f"comparing pairs{where}")
        found = {pair: matches for (pair, _), matches in zip(entries, coarse) if matches}
        best = self._best(
            {pair: matches[0].agreement for pair, matches in found.items()}, budget.aligned
        )
        starts = [(pair, [match.pose for match in found[pair]]) for pair in best]
        fine = self._map("fine", starts, f"aligning pairs{where}")
        for (pair, _), match in zip(starts, fine):
            if match is not None and (match.copy or match.residual >= MIN_RESIDUAL_FAINT):
                self.aligned[pair] = match
        self._compare(todo, budget, f"looking closer{where}")

    def _compare(self, todo: Candidates, budget: SearchBudget, name: str) -> None:
        """Compares the pictures of the best pairs; more of a picture that has a copy already."""
        inside = {pair: match for pair, match in self.aligned.items() if pair in todo}
        self._pixels(worth_comparing(inside, self.sides, budget.compared_first), budget, name)
        copied = {row for pair in self.certain for row in pair}
        again = {pair: match for pair, match in inside.items() if copied.intersection(pair)}
        self._pixels(worth_comparing(again, self.sides, budget.compared), budget, name)

    def _pixels(self, pairs: Sequence[Pair], budget: SearchBudget, name: str) -> None:
        chosen = []
        for pair in pairs:
            by_points = budget.points_within or self._across(pair)
            known = self.compared.get(pair)
            if known is None or (by_points and not known and pair not in self.certain):
                chosen.append((pair, self.aligned[pair], by_points))
                self.compared[pair] = by_points
        for (pair, _, _), match in zip(chosen, self._map("pixels", chosen, name)):
            if match is not None and match.certain:
                self.certain[pair] = match

    def _map(self, method: str, entries: Sequence[Any], name: str) -> Iterator[Any]:
        report = self.progress.step(name)
        report(0, len(entries))  # here: a step without entries is never iterated over
        return self.pool.map(method, entries, report)

    def look_alikes(self) -> dict[Pair, Alignment]:
        """The aligned pairs that look alike but are no certain copies.

        Parts of one design share structure that the set as a whole does not have. So the best
        pairs of such a family are compared again, without the structure that the family shares.
        """
        alike = {
            pair: match
            for pair, match in self.aligned.items()
            if match.copy and pair not in self.certain
        }
        for family in _families(len(self.store), alike):
            members = set(family)
            inside = {pair: match for pair, match in alike.items() if pair[0] in members}
            common = shared_structure(self.store, np.array(family), FAMILY_COMPONENTS)
            best = self._best(
                {pair: match.residual for pair, match in inside.items()}, FAMILY_PAIRS
            )
            entries = [(pair, inside[pair], common) for pair in best]
            for pair in inside:
                del alike[pair]
            compared = self._map("family", entries, "comparing look-alikes")
            for (pair, _, _), match in zip(entries, compared):
                # Key points alone do not count here: they support every look-alike of one design.
                if match.copy and match.residual >= MIN_RESIDUAL:
                    alike[pair] = match
        return alike

    def _best(self, scores: Mapping[Pair, float], count: int) -> list[Pair]:
        """The pairs that are among the `count` best of one of their pictures, sorted by row.

        Pairs within one side and across the split are counted separately.
        """
        taken: Counter[tuple[int, bool]] = Counter()
        chosen = []
        for pair in sorted(scores, key=lambda pair: (-scores[pair], pair)):
            across = self._across(pair)
            if min(taken[row, across] for row in pair) < count:
                chosen.append(pair)
                taken.update((row, across) for row in pair)
        return sorted(chosen)


def worth_comparing(
    found: Mapping[Pair, Alignment], sides: Sequence[str], max_pairs: int
) -> list[Pair]:
    """The pairs with the best residual, sorted by row: at most `max_pairs` a picture within one
    side and as many across the split, 2 of faint ones."""
    taken: Counter[tuple[int, bool]] = Counter()
    chosen = []
    for pair, match in sorted(found.items(), key=lambda one: (-one[1].residual, one[0])):
        across = sides[pair[0]] != sides[pair[1]]
        most = max_pairs if match.residual >= MIN_RESIDUAL_LIKELY else MAX_FAINT_PAIRS
        if match.residual >= MIN_RESIDUAL_FAINT and min(taken[r, across] for r in pair) < most:
            chosen.append(pair)
            taken.update((row, across) for row in pair)
    return sorted(chosen)


def linked_groups(n: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """Groups of rows linked by pairs, directly or through others; a single row is a group too."""
    parent = list(range(n))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for low, high in pairs:
        parent[root(high)] = root(low)
    found: dict[int, list[int]] = defaultdict(list)
    for row in range(n):
        found[root(row)].append(row)
    return list(found.values())


def _families(n: int, found: Mapping[Pair, Alignment]) -> list[list[int]]:
    return [group for group in linked_groups(n, found) if len(group) > MAX_COPIES]
