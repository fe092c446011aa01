"""Quarantine and rebuild: a new outbox replaces a damaged one, which is renamed, never deleted.

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
from edge.storage.outbox.ownership import require_ours
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from edge.storage.outbox.recovery.staging import staging_path
from edge.storage.outbox.sqlite import translate_errors, wal_of


@dataclass(frozen=True, slots=True)
class RebuildHooks:
    """Callbacks of a rebuild, which may take minutes.

    on_progress: called for every thousand saved verdicts.
    cached_rows: returns stored rows that are still in memory. They replace the rows of
        the damaged file.
    """

    on_progress: Callable[[], None] = lambda: None
    cached_rows: Callable[[], Sequence[OutboxRow]] = tuple


def quarantine_and_rebuild(
    path: Path,
    limits: tuple[int, float],
    rows: Iterable[Sequence[OutboxRow]],
    receipts: Sequence[tuple[str, str]],
    *,
    now: float,
    operating_time: float,
    used_up_to: int = 0,
) -> str:
    """Renames a damaged file together with its log, and puts a new file into its place.

    limits: of the new file, bytes and seconds.
    rows, receipts: its content; rows in batches.
    now: epoch seconds, for the new name of the damaged file.
    operating_time: now, seconds.
    used_up_to: the highest number in use.

    Returns the damaged file's new name. Raises OutboxError. `finish_rebuild` completes an
    interrupted call.
    """
    with translate_errors(path, "rebuilt"):
        new = _new(path)
        require_ours(new, path)
        _delete_database(new)
        fresh = OutboxDatabase(new, *limits)
        try:
            fresh.apply(OutboxChanges(receipts=receipts, used_up_to=used_up_to), operating_time)
            for batch in rows:
                fresh.apply(OutboxChanges(rows=batch), operating_time)
        finally:
            fresh.close()
        aside = unused_name(path, now)
        if path.exists():
            path.rename(aside)
        set_log_aside(path, aside)
        new.rename(path)
        sync_folder(path.parent)
        return aside.name


def finish_rebuild(path: Path) -> None:
    """Completes an interrupted rebuild. Raises OutboxError.

    Without the old file the new one is complete, and takes its place. Beside the old file the new
    one may be half written, and is deleted.
    """
    new = _new(path)
    with translate_errors(path, "opened"):
        staging_path(path).unlink(missing_ok=True)
        if not new.exists():
            return
        require_ours(new, path)
        if path.exists():
            _delete_database(new)
            return
        aside = sorted(
            path.parent.glob(f"{path.name}.damaged-*Z*"), key=lambda p: p.stat().st_ctime
        )
        if aside:
            set_log_aside(path, aside[-1])
        new.rename(path)
        sync_folder(path.parent)


def _delete_database(path: Path) -> None:
    for file in (path, wal_of(path), _beside(path, "-shm")):
        file.unlink(missing_ok=True)


def unused_name(path: Path, now: float) -> Path:
    """The name for a damaged file; `now`: seconds since the epoch."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return aside


def set_log_aside(path: Path, aside: Path) -> None:
    """Renames SQLite's log and index along with their database."""
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            _beside(path, suffix).rename(_beside(aside, suffix))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _new(path: Path) -> Path:
    return _beside(path, ".new")


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
