"""Infers which pictures show one part, from copies and from file names, as a suggestion.

A file name is weak evidence. It counts only when a few pictures share the stem before a counter
and there are several such stems: `tile001_exp1`, `tile001_exp2`. One stem for all pictures
(`cell0001`…) is no evidence.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

MAX_STEM_SHARE = 0.1  # of the set: a stem of more pictures names the product, not a part
MIN_STEMS = 3
_SPLIT = re.compile(r"[_\-. ]+")


def file_stems(files: Sequence[str]) -> dict[str, str]:
    """The part that a file name suggests, for the files that suggest one.

    A stem is a prefix of the name that ends at `_`, `-`, `.` or a blank. It must hold a digit,
    because the name of a part has a number.
    """
    stems: dict[str, list[str]] = {}
    for file in files:
        pieces = _SPLIT.split(PurePosixPath(file).stem)
        ends = range(1, len(pieces))
        stems[file] = [
            "_".join(pieces[:end])
            for end in ends
            if any(any(sign.isdigit() for sign in piece) for piece in pieces[:end])
        ]
    shared = Counter(chain.from_iterable(stems.values()))
    max_shared = max(2, MAX_STEM_SHARE * len(files))
    # A few files share a stem that names a part. All files use one depth: the one at which most
    # files have their shortest such stem.
    depth_votes: Counter[int] = Counter()
    for names in stems.values():
        for depth, name in enumerate(names):
            if 1 < shared[name] <= max_shared:
                depth_votes[depth] += 1
                break
    if not depth_votes:
        return {}
    depth = depth_votes.most_common(1)[0][0]
    named = {
        file: names[depth]
        for file, names in stems.items()
        if depth < len(names) and 1 < shared[names[depth]] <= max_shared
    }
    return named if len(set(named.values())) >= MIN_STEMS else {}


def infer_groups(
    files: Sequence[str], copies: Iterable[tuple[str, str]], given: dict[str, str]
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The suggested group of every file, and the groups of two or more files with the reasons.

    `copies` are pairs of files. `given` are the manifest's groups, which stay together; it is
    empty without a manifest, and only then do file names count.
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
    group = {file: own[0] for own in members.values() for file in own}
    found = []
    for own in sorted(members.values()):
        if len(own) > 1:
            reasons = [
                reason
                for reason, holds in (
                    ("the manifest's group", bool(given)),
                    ("copies of each other", any(file in linked for file in own)),
                    ("like file names", any(file in guessed for file in own)),
                )
                if holds
            ]
            found.append({"files": own, "why": reasons})
    return group, found
