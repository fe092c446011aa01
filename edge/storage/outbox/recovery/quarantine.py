"""Quarantine and rebuild: a new outbox takes the place of a damaged one, which is set aside under
another name and never deleted.

The order of the renames is a guard. The new file is complete before the old one is renamed, so an
interruption at any point leaves a whole file to the next start.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.recovery.staging import place_of as spool_of
from edge.storage.outbox.sqlite import naming, wal_of


@dataclass(frozen=True, slots=True)
class RebuildHooks:
    """What the caller adds to a rebuild of a damaged file, which may take minutes.

    on_progress: called for every thousand verdicts that are saved.
    cached_rows: stored rows that memory still has. They replace what is read from the damaged file.
    """

    on_progress: Callable[[], None] = lambda: None
    cached_rows: Callable[[], Sequence[OutboxRow]] = tuple


def renewed(
    path: Path,
    limits: tuple[int, float],
    rows: Iterable[Sequence[OutboxRow]],
    receipts: Sequence[tuple[str, str]],
    *,
    now: float,
    clock: float,
    used_up_to: int = 0,
) -> str:
    """Puts a new file into the place of a damaged one, which is renamed together with its log.

    limits: of the new file, bytes and seconds.
    rows, receipts: what it holds; rows come in batches.
    now: epoch seconds, for the new name of the damaged file.
    clock: the outbox's own clock, seconds.
    used_up_to: numbers up to this one are used.

    Returns the damaged file's new name. Raises OutboxError. `finish_renewal` completes what was
    interrupted.
    """
    with naming(path, "renewed"):
        new = _new(path)
        _delete_database(new)
        fresh = OutboxDatabase(new, *limits)
        try:
            fresh.apply([], receipts, [], [], clock, used_up_to=used_up_to)
            for batch in rows:
                fresh.apply(batch, [], [], [], clock)
        finally:
            fresh.close()
        aside = _unused_name(path, now)
        if path.exists():
            path.rename(aside)
        _set_log_aside(path, aside)
        new.rename(path)
        _sync_folder(path.parent)
        return aside.name


def finish_renewal(path: Path) -> None:
    """Completes an interrupted renewal. Raises OutboxError.

    Without the old file the new one is complete, and takes its place. Beside the old file the new
    one may be half written, and is deleted.
    """
    new = _new(path)
    with naming(path, "opened"):
        spool_of(path).unlink(missing_ok=True)
        if not new.exists():
            return
        if path.exists():
            _delete_database(new)
            return
        aside = sorted(
            path.parent.glob(f"{path.name}.damaged-*Z*"), key=lambda p: p.stat().st_ctime
        )
        if aside:
            _set_log_aside(path, aside[-1])
        new.rename(path)
        _sync_folder(path.parent)


def _delete_database(path: Path) -> None:
    for file in (path, wal_of(path), _beside(path, "-shm")):
        file.unlink(missing_ok=True)


def _unused_name(path: Path, now: float) -> Path:
    """A name for the damaged file."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return aside


def _set_log_aside(path: Path, aside: Path) -> None:
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            _beside(path, suffix).rename(_beside(aside, suffix))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _new(path: Path) -> Path:
    return _beside(path, ".new")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
