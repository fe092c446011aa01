"""Finds `folder:` cameras that would judge moved files again: folders that move into each other."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge.config.schema import CameraConfig

_ANSWER_S = 2.0  # a network share that is away must not stop the start

Identity = tuple[int, int] | str  # device and inode; a path where there is no folder yet


def circles(cameras: Sequence[CameraConfig]) -> Iterator[tuple[int, str]]:
    """Index of a camera and the mistake in its `move_to`."""
    moves = {
        index: (Path(camera.rest), camera.move_to)
        for index, camera in enumerate(cameras)
        if camera.kind == "folder" and camera.move_to is not None
    }
    of = _identities({path for pair in moves.values() for path in pair})
    targets: dict[Identity, list[tuple[int, Identity]]] = {}
    for index, (source, target) in moves.items():
        targets.setdefault(of[source], []).append((index, of[target]))
    for index, (source, target) in moves.items():
        if of[source] == of[target]:
            yield index, f"is the folder {source} itself under another name; name another one"
        elif way := _way(of[target], of[source], targets):
            names = " → ".join(cameras[one].id for one in (index, *way, index))
            yield index, f"files would be judged without end ({names}); name another folder"


def _way(
    start: Identity, end: Identity, targets: Mapping[Identity, list[tuple[int, Identity]]]
) -> tuple[int, ...]:
    """The cameras that bring a file from one folder to the other; empty: none do."""
    ways: list[tuple[Identity, tuple[int, ...]]] = [(start, ())]
    seen = {start}
    while ways:
        at, way = ways.pop()
        for index, target in targets.get(at, ()):
            if target == end:
                return (*way, index)
            if target not in seen:
                seen.add(target)
                ways.append((target, (*way, index)))
    return ()


def _identities(paths: set[Path]) -> dict[Path, Identity]:
    """Bind mounts, links and other spellings of one folder have one identity."""
    found: dict[Path, Identity] = {path: os.path.normpath(path) for path in paths}

    def look() -> None:
        for path in paths:
            try:
                status = path.stat()
                found[path] = status.st_dev, status.st_ino
            except OSError:
                found[path] = os.path.realpath(path)

    thread = threading.Thread(target=look, name="folders", daemon=True)
    thread.start()
    thread.join(_ANSWER_S)
    return dict(found)
