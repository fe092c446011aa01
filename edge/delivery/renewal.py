"""A new outbox in the place of a damaged one, which is set aside and never deleted."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edge.delivery.outbox import Outbox
from edge.delivery.outboxfile import naming, wal_of
from edge.delivery.records import OutboxRow
from edge.delivery.spool import place_of as spool_of


def renewed(
    path: Path,
    limits: tuple[int, float],
    rows: Iterable[Sequence[OutboxRow]],
    receipts: Sequence[tuple[str, str]],
    *,
    now: float,
    clock: float,
    given: int = 0,
) -> str:
    """Puts a new file with these rows, some at a time, into the place of a damaged one, which is
    renamed with its log. Returns its new name. `now` is epoch seconds, `clock` the outbox's own;
    numbers up to `given` are gone. Raises OutboxError.

    The new one is whole before the old one goes, and `finish_renewal` ends what was interrupted.
    """
    with naming(path, "renewed"):
        new = _new(path)
        for left in (new, wal_of(new), _beside(new, "-shm")):
            left.unlink(missing_ok=True)
        fresh = Outbox(new, *limits)
        try:
            fresh.apply([], receipts, [], [], clock, given=given)
            for some in rows:
                fresh.apply(some, [], [], [], clock)
        finally:
            fresh.close()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
        if path.exists():
            path.rename(aside)
        _set_log_aside(path, aside)
        new.rename(path)
        _sync_folder(path.parent)
        return aside.name


def finish_renewal(path: Path) -> None:
    """Ends a renewal that was interrupted: a new file whose old one has gone takes its place; one
    whose old one is still there may be half written, and goes. Raises OutboxError."""
    new = _new(path)
    with naming(path, "opened"):
        spool_of(path).unlink(missing_ok=True)
        if not new.exists():
            return
        if path.exists():
            for left in (new, wal_of(new), _beside(new, "-shm")):
                left.unlink(missing_ok=True)
            return
        aside = sorted(
            path.parent.glob(f"{path.name}.damaged-*Z*"), key=lambda p: p.stat().st_ctime
        )
        if aside:
            _set_log_aside(path, aside[-1])
        new.rename(path)
        _sync_folder(path.parent)


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
