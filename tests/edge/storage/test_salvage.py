"""What it costs to look for verdicts in the bytes of a damaged file, and what disks do to it."""

import errno
import os
import sqlite3
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import Clock
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.recovery import carve as carving
from edge.storage.outbox.recovery import staging
from edge.storage.outbox.recovery.carve import carve, stored_checksum
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.sqlite import connect
from edge.storage.outbox.store import OutboxStore
from tests.support.outbox_rows import HOUR, MB, numbers_in, rows_from
from tests.support.outbox_store import opened

COUNT = 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox lives."""
    return tmp_path / "state" / "outbox.db"


def unreadable(path: Path, count: int) -> bytes:
    """Stores `count` verdicts and breaks the header of the file. Returns its bytes."""
    store = opened(path)
    for start in range(1, count + 1, 1000):
        store.apply(OutboxChanges(rows=rows_from(start, min(1000, count + 1 - start))))
    store.close()
    hurt = b"x" * 16 + path.read_bytes()[16:]
    path.write_bytes(hurt)
    return hurt


class Told(bytes):
    """Bytes that count how many of them are read in slices."""

    read = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, slice):
            self.read += len(found)
        return found


def test_a_verdict_is_not_read_with_the_megabyte_behind_it(tmp_path: Path) -> None:
    """For each verdict some kilobytes are read, however large the file."""
    box = OutboxDatabase(tmp_path / "outbox.db", 8 * MB, HOUR)
    rows = rows_from(1, COUNT)
    box.apply(OutboxChanges(rows=rows), 1.0)
    box.close()
    raw = Told((tmp_path / "outbox.db").read_bytes() + bytes(4 * MB))
    assert {row.seq: row.body for row in carve(raw)} == {row.seq: row.body for row in rows}
    assert raw.read < COUNT * 20_000


def test_a_long_verdict_is_found(tmp_path: Path) -> None:
    """One that is longer than most is read a second time, whole."""
    (short, long, last) = [*rows_from(1, 1), *rows_from(2, 1, part="é" * 9000), *rows_from(3, 1)]
    raw = b"".join(_as_stored(row.body) for row in (short, long, last))
    assert [row.seq for row in carve(raw)] == [1, 2, 3]


@pytest.mark.slow
def test_a_salvage_needs_no_memory_for_what_it_saves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a damaged file with 20,000 verdicts every one is saved, with a third of its bytes in
    memory at most."""
    monkeypatch.setattr(carving, "PIECE", 1 << 18)
    many = 20_000
    size = len(unreadable(path, many))
    reported: list[int] = []
    tracemalloc.start()
    again = OutboxStore(
        path, 64 * MB, HOUR, Clock(), hooks=RebuildHooks(lambda: reported.append(1))
    )
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert again.salvaged == many
    assert len(reported) >= 30  # each one extends the start timeout of systemd
    assert numbers_in(path) == list(range(1, many + 1))
    assert most < size / 3
    assert not list(path.parent.glob("*.salvage"))
    again.close()


def test_verdicts_are_found_across_the_pieces_of_a_large_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in pieces of a few kilobytes, each verdict is found, wherever a piece ends."""
    monkeypatch.setattr(carving, "PIECE", 5000)
    monkeypatch.setattr(carving, "LONGEST_VERDICT", 3000)
    unreadable(path, COUNT)
    again = opened(path)
    assert numbers_in(path) == list(range(1, COUNT + 1))
    again.close()


def test_sectors_that_cannot_be_read_cost_what_lies_in_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses one page: the verdicts of all others are saved; the loss is reported."""
    unreadable(path, COUNT)
    real, bad = os.pread, 20 * 4096

    def pread(file: int, size: int, at: int) -> bytes:
        if os.path.samestat(os.fstat(file), path.stat()) and at <= bad < at + size:
            raise OSError(errno.EIO, "Input/output error")
        return real(file, size, at)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", pread)
        again = opened(path)
    found = numbers_in(path)
    assert COUNT - 10 <= len(found) < COUNT
    assert len(found) + again.lost_at_most >= COUNT
    again.close()


def test_a_disk_that_takes_no_salvage_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The damaged file stays as it is, and the next try saves all of it."""
    hurt = unreadable(path, COUNT)

    def connect_full(file: Path) -> sqlite3.Connection:
        db = connect(file)
        db.execute("PRAGMA max_page_count=2")  # room for the empty table only
        return db

    with monkeypatch.context() as patched:
        patched.setattr(staging, "connect", connect_full)
        refused = opened(path)
    assert "full" in refused.fault
    assert path.read_bytes() == hurt
    refused.open(RebuildHooks())
    assert numbers_in(path) == list(range(1, COUNT + 1))
    assert not list(path.parent.glob("*.salvage"))
    refused.close()


def _as_stored(body: bytes) -> bytes:
    """The checksum as SQLite writes it, and the body; as carve.py knows it."""
    return stored_checksum(zlib.crc32(body)) + body
