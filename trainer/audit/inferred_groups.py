"""Which pictures show one part: inferred from copies and from file names, as a suggestion.

A file name is a guess. It counts only when the stem before a counter is shared by a few pictures
and many stems are so: `tile001_exp1`, `tile001_exp2`. One stem for all (`cell0001`…) says nothing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

MOST_SHARE = 0.1  # of the set: a stem that more pictures share names the product, not a part
FEWEST_STEMS = 3
_SPLIT = re.compile(r"[_\-. ]+")


def file_stems(files: Sequence[str]) -> dict[str, str]:
    """The part that a file's name suggests, for those where it does.

    Tried from the longest beginning of the name to the shortest, in pieces between `_`, `-`, `.`
    and blanks; the piece must hold a digit, for a part's name has a number.
    """
    beginnings: dict[str, list[str]] = {}
    for file in files:
        pieces = _SPLIT.split(PurePosixPath(file).stem)
        ends = range(1, len(pieces))
        beginnings[file] = [
            "_".join(pieces[:end])
            for end in ends
            if any(any(sign.isdigit() for sign in piece) for piece in pieces[:end])
        ]
    shared = Counter(chain.from_iterable(beginnings.values()))
    most = max(2, MOST_SHARE * len(files))
    # A beginning that names parts is shared by a few and there are several such: take, for all
    # files alike, the shortest one that does.
    depth_votes: Counter[int] = Counter()
    for its in beginnings.values():
        for depth, name in enumerate(its):
            if 1 < shared[name] <= most:
                depth_votes[depth] += 1
                break
    if not depth_votes:
        return {}
    depth = depth_votes.most_common(1)[0][0]
    named = {
        file: its[depth]
        for file, its in beginnings.items()
        if depth < len(its) and 1 < shared[its[depth]] <= most
    }
    return named if len(set(named.values())) >= FEWEST_STEMS else {}


def infer_groups(
    files: Sequence[str], copies: Iterable[tuple[str, str]], given: dict[str, str]
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The suggested group of every file, and the groups of two or more with why.

    `copies` are pairs of files; `given` the manifest's groups (empty without one), which are kept
    together. Names are guessed from only without a manifest.
    """
    guessed = {} if given else file_stems(files)
    parent = {file: file for file in files}

    def root(file: str) -> str:
        while parent[file] != file:
            parent[file] = parent[parent[file]]
            file = parent[file]
        return file

    first: dict[str, str] = {}
    for file in files:
        name = given.get(file) or guessed.get(file)
        if name is not None:
            parent[root(file)] = root(first.setdefault(name, file))
    linked: set[str] = set()
    for one, other in copies:
        linked.update((one, other))
        parent[root(other)] = root(one)
    members: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files):
        members[root(file)].append(file)
    group = {file: its[0] for its in members.values() for file in its}
    found = []
    for its in sorted(members.values()):
        if len(its) > 1:
            reasons = [
                reason
                for reason, holds in (
                    ("the manifest's group", bool(given)),
                    ("copies of each other", any(file in linked for file in its)),
                    ("like file names", any(file in guessed for file in its)),
                )
                if holds
            ]
            found.append({"files": its, "why": reasons})
    return group, found
