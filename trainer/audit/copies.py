"""Finds copies: aligns candidate pairs, then compares the aligned pairs pixel by pixel.

The store has one row for each set of pixel-identical pictures, so equal pictures need no search.
Each step keeps a few pairs a picture, the best ones, so the work grows with the pictures and not
with the pairs of a family of look-alikes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trainer.audit.alignment import MIN_RESIDUAL, Alignment, shared_structure
from trainer.audit.candidates import THOROUGH, USUAL, Candidates, SearchBudget, candidates
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pair_alignment import Pair
from trainer.audit.pair_workers import PairJob, PairWorkers, ReadPicture

Progress = Callable[[str, int, int], None]

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
    """

    matches: dict[Pair, Alignment] = field(default_factory=dict)
    compared: int = 0
    added: int = 0


def find_copies(
    store: FingerprintStore,
    read: ReadPicture,
    workers: int,
    progress: Progress,
    *,
    sides: Sequence[str] = (),
    thorough: bool = False,
) -> FoundCopies:
    """All pairs of rows that are copies or look-alikes.

    - `read` reads the picture of a row again; more than one of `workers` needs it to be picklable.
    - `sides`: the side of the split of each row. A pair across the split is never left out for
      pairs of one side.
    - `thorough`: looks at more pairs a picture after the usual search.
    """
    if len(store) < 2:
        return FoundCopies()
    whole = shared_structure(store, np.arange(len(store)))
    with PairWorkers(PairJob(store, whole, read), workers) as pool:
        search = _Search(store, pool, sides or [""] * len(store), progress)
        search.look(candidates(store, whole, USUAL, search.step("searching copies")), USUAL)
        usual = len(search.certain)
        if thorough:
            more = candidates(store, whole, THOROUGH, search.step("searching more copies"))
            search.look(more, THOROUGH)
        matches = search.look_alikes() | search.certain
    return FoundCopies(matches, len(search.compared), len(search.certain) - usual)


@dataclass(slots=True)
class _Search:
    """A search in progress: pairs aligned, compared and found so far."""

    store: FingerprintStore
    pool: PairWorkers
    sides: Sequence[str]
    progress: Progress
    tried: set[Pair] = field(default_factory=set)
    aligned: dict[Pair, Alignment] = field(default_factory=dict)
    compared: set[Pair] = field(default_factory=set)
    certain: dict[Pair, Alignment] = field(default_factory=dict)

    def step(self, name: str) -> Callable[[int, int], None]:
        """The progress of one step."""
        return lambda done, total: self.progress(name, done, total)

    def look(self, todo: Candidates, budget: SearchBudget) -> None:
        """Aligns the candidates that were not tried yet, and compares the best."""
        entries = sorted((pair, poses) for pair, poses in todo.items() if pair not in self.tried)
        self.tried.update(pair for pair, _ in entries)
        coarse = self.pool.map("coarse", entries, self.step("comparing pairs"))
        found = {pair: matches for (pair, _), matches in zip(entries, coarse) if matches}
        best = self._best(
            {pair: matches[0].agreement for pair, matches in found.items()}, budget.aligned
        )
        starts = [(pair, [match.pose for match in found[pair]]) for pair in best]
        for (pair, _), match in zip(
            starts, self.pool.map("fine", starts, self.step("aligning pairs"))
        ):
            if match is not None and (match.copy or match.residual >= MIN_RESIDUAL_FAINT):
                self.aligned[pair] = match
        chosen = [
            (pair, self.aligned[pair])
            for pair in worth_comparing(self.aligned, self.sides, budget.compared)
            if pair not in self.compared
        ]
        self.compared.update(pair for pair, _ in chosen)
        for (pair, _), match in zip(
            chosen, self.pool.map("pixels", chosen, self.step("looking closer"))
        ):
            if match is not None and match.certain:
                self.certain[pair] = match

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
            step = self.step("comparing look-alikes")
            for (pair, _, _), match in zip(entries, self.pool.map("family", entries, step)):
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
            across = self.sides[pair[0]] != self.sides[pair[1]]
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
