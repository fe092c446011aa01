"""A disk that is full when the daemon starts does not end it: it judges, sends from memory, and
stores when there is room, whichever step of the start was refused."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import Clock
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.sqlite import OutboxError
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.writer import OutboxWriter
from tests.support.outbox_rows import HOUR, MB, numbers_in, rows_from
from tests.support.verdicts import a_verdict


@dataclass(slots=True)
class Disk:
    """`left`: how many more steps it takes before it is full; None: it has room."""

    left: int | None = None
    refused: int = 0

    def step(self) -> bool:
        """Whether one more is refused."""
        if self.left is None:
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        self.refused += 1
        return True


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    """Every statement of SQLite and every call that makes or changes a file is a step."""
    disk = Disk()
    real: Callable[..., sqlite3.Connection] = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, *values: Any) -> sqlite3.Cursor:
            if disk.step():
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(*values)

    def connect(name: Any, *values: Any, **options: Any) -> sqlite3.Connection:
        if "immutable" in str(name):  # reads only: a full disk does
            return real(name, *values, **options)
        if disk.step():
            raise sqlite3.OperationalError("unable to open database file")
        return real(name, *values, factory=Connection, **options)

    def refusing(call: Callable[..., Any], idle: Callable[[Any], bool]) -> Callable[..., Any]:
        """`idle`: whether the call has nothing to do, which needs no room."""

        def tried(subject: Any, *values: Any, **options: Any) -> Any:
            if not idle(subject) and disk.step():
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(subject, *values, **options)

        return tried

    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(sqlite3, "connect", connect)
    for name in ("pwrite", "fdatasync", "fsync"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), lambda _: False))
    monkeypatch.setattr(Path, "rename", refusing(Path.rename, lambda _: False))
    monkeypatch.setattr(Path, "mkdir", refusing(Path.mkdir, Path.exists))
    monkeypatch.setattr(Path, "unlink", refusing(Path.unlink, lambda file: not file.exists()))
    return disk


def killed(path: Path, *changes: OutboxChanges) -> None:
    """Leaves the files of a daemon that was killed after these commits."""
    work = path.parent.with_name("work") / path.name
    work.parent.mkdir()
    store = OutboxStore(work, 64 * MB, HOUR, Clock())
    for each in changes:
        store.apply(each)
    shutil.copytree(work.parent, path.parent)
    store.close()
    shutil.rmtree(work.parent)


def no_folder(path: Path) -> list[int]:
    """The first start of all."""
    return []


def no_verdict(path: Path) -> list[int]:
    """Killed before the first verdict was stored."""
    killed(path)
    return []


def rows_in_log(path: Path) -> list[int]:
    """Killed with verdicts in SQLite's log."""
    killed(path, OutboxChanges(rows=rows_from(1, 5)), OutboxChanges(accepted=[1, 2]))
    return [3, 4, 5]


def rows_in_file(path: Path) -> list[int]:
    """Stopped in order."""
    store = OutboxStore(path, 64 * MB, HOUR, Clock())
    store.apply(OutboxChanges(rows=rows_from(1, 5)))
    store.close()
    return [1, 2, 3, 4, 5]


def rows_without_numbers(path: Path) -> list[int]:
    """The file beside the outbox was not copied with it."""
    waiting = rows_in_log(path)
    path.with_name("outbox.db.numbers").unlink()
    return waiting


def all_sent_without_numbers(path: Path) -> list[int]:
    """The same; only SQLite's own table knows the last number."""
    store = OutboxStore(path, 64 * MB, HOUR, Clock())
    store.apply(OutboxChanges(rows=rows_from(30_001, 300)))
    store.apply(OutboxChanges(accepted=range(30_001, 30_301)))
    store.close()
    path.with_name("outbox.db.numbers").unlink()
    return []


def damaged(path: Path) -> list[int]:
    """It must be set aside, for which the disk has no room."""
    waiting = rows_in_file(path)
    raw = path.read_bytes()
    path.write_bytes(b"x" * 16 + raw[16:])
    return waiting


BEFORE = (
    no_folder,
    no_verdict,
    rows_in_log,
    rows_in_file,
    rows_without_numbers,
    all_sent_without_numbers,
    damaged,
)


@pytest.mark.slow
@pytest.mark.parametrize("before", BEFORE)
def test_no_step_of_a_start_ends_the_daemon(
    disk: Disk, tmp_path: Path, before: Callable[[Path], list[int]]
) -> None:
    """From each step on the disk is full; later it has room. The verdict of the time between can be
    sent at once, has a number of its own, and is stored with all that waited."""
    for step in (*range(40), *range(40, 400, 7)):
        path = tmp_path / f"{step}" / "state" / "outbox.db"
        path.parent.parent.mkdir()
        waiting = before(path)
        issued = 30_300 if before is all_sent_without_numbers else max(waiting, default=0)
        disk.left, disk.refused = step, 0
        store = OutboxStore(path, 64 * MB, HOUR, Clock())
        complete = not disk.refused
        writer = OutboxWriter(store, Clock())
        assert complete or writer.fault or not store.fault
        writer.submit(a_verdict())
        writer.run_once()
        if disk.refused and writer.fault:
            (row,) = writer.send_queue.fresh(writer.send_queue.newest() - 1, 9)
            assert row.seq > issued
        disk.left = None
        writer.run_once()
        assert not writer.fault
        numbers = numbers_in(path)
        assert numbers[:-1] == waiting
        assert numbers[-1] > issued
        if not issued:
            assert numbers == [1]  # it is recorded that none was issued: no gap
        writer.send_queue.close()
        store.close()
        if complete:
            return
    raise AssertionError("a start has fewer steps")


def test_a_disk_that_reads_nothing_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the outbox nor its numbers: a number might be issued twice, and the second verdict of
    a number is not stored. systemd starts the daemon again."""
    path = tmp_path / "state" / "outbox.db"
    rows_without_numbers(path)
    real = Path.open

    def broken(self: Path, *values: Any, **options: Any) -> Any:
        if self.name.startswith("outbox.db"):
            raise OSError(errno.EIO, "Input/output error")
        return real(self, *values, **options)

    def no_database(*_: object, **_options: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", broken)
        patched.setattr(sqlite3, "connect", no_database)
        with pytest.raises(OutboxError, match="cannot be opened"):
            OutboxStore(path, 64 * MB, HOUR, Clock())
    with closing(OutboxStore(path, 64 * MB, HOUR, Clock())) as store:
        assert store.first > 5
