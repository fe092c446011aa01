"""The outbox's file when it breaks: always opened, nothing lost silently, no number reused."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.messages import stored_body
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from edge.storage.outbox.recovery import quarantine as renewal
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.sqlite import OutboxError, wal_of
from edge.storage.outbox.store import OutboxStore
from tests.support.outbox_rows import numbers_in, rows_from
from tests.support.outbox_store import opened
from tests.support.verdicts import a_verdict

COUNT = 60


def filled(path: Path, count: int = COUNT, *, killed: bool = False) -> None:
    """Stores `count` more verdicts, and ends in order or as `kill -9` does."""
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(store.first, count)))
    if killed:
        shutil.copytree(path.parent, path.parent.with_name("killed"))
    store.close()
    if killed:
        shutil.rmtree(path.parent)
        path.parent.with_name("killed").rename(path.parent)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox lives."""
    return tmp_path / "state" / "outbox.db"


@pytest.mark.parametrize("killed", [False, True])
def test_numbers_go_on_without_a_gap(path: Path, killed: bool) -> None:
    """After an end in order, and after kill -9, what was stored is there and the next is next."""
    filled(path, killed=killed)
    store = opened(path)
    assert (store.first, store.skipped, store.damaged) == (COUNT + 1, 0, 0)
    assert numbers_in(path) == list(range(1, COUNT + 1))
    store.close()


def test_a_second_daemon_is_refused(path: Path) -> None:
    """One outbox, one daemon; the sentence says what to do."""
    store = opened(path)
    with pytest.raises(OutboxError, match="another edge-inspect uses this outbox") as caught:
        opened(path)
    assert caught.value.kind == "permanent"
    store.close()


def test_numbers_from_memory_are_not_given_again(path: Path) -> None:
    """What was sent from memory and died there: the next number is behind all that may be out."""
    filled(path)
    store = opened(path)
    store.numbers.reserve(COUNT + 400, unstored=True)
    store.close()  # not settled
    again = opened(path)
    assert again.first > COUNT + 400
    assert again.skipped == again.first - COUNT - 1
    again.close()


def test_a_deleted_file_gives_no_number_again(path: Path) -> None:
    """The database was deleted between two runs: its loss is counted, its numbers are not
    used."""
    filled(path)
    path.unlink()
    store = opened(path)
    assert store.first > COUNT
    assert store.lost_at_most >= COUNT
    store.close()


def test_a_file_deleted_in_use_is_written_again(path: Path) -> None:
    """What the open file still shows is on disk again after the next commit."""
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(1, 5), receipts=[("top", "r")]))
    for file in path.parent.glob("outbox.db*"):
        if not file.name.endswith("numbers"):
            file.unlink()
    store.apply(OutboxChanges(rows=rows_from(6, 1)))
    assert numbers_in(path) == [1, 2, 3, 4, 5, 6]
    view = store.new_reader()
    assert view.is_judged("top", "r")
    view.close()
    store.close()


@pytest.mark.parametrize("frames", [1, 3, 8])
def test_a_log_cut_at_a_frame_is_noticed(path: Path, frames: int) -> None:
    """SQLite takes the shorter log for whole: the record of progress tells, and no number that
    was given comes again."""
    store = opened(path)
    for seq in range(1, 11):
        store.apply(OutboxChanges(rows=rows_from(seq, 1)))
    copy = path.parent.with_name("copy")
    shutil.copytree(path.parent, copy)
    store.close()
    torn = copy / path.name
    os.truncate(wal_of(torn), wal_of(torn).stat().st_size - frames * 4120)
    (copy / "outbox.db-shm").unlink()
    again = opened(torn)
    assert again.first > 10
    assert len(numbers_in(torn)) + again.lost_at_most >= 10
    again.close()


def test_a_flipped_bit_in_the_numbers_is_survived(path: Path) -> None:
    """Its only record torn: numbers go on far behind anything that may have been given."""
    store = opened(path)
    store.numbers.reserve(1, unstored=True)
    store.close()
    for at in (30, 512 + 30):
        raw = bytearray(store.numbers.path.read_bytes())
        if at < len(raw):
            raw[at] ^= 1
            store.numbers.path.write_bytes(raw)
    again = opened(path)
    assert again.first > 1000
    again.close()


def test_the_clock_goes_on_behind_what_was_saved(path: Path) -> None:
    """A salvaged row is never from the future, and its age goes on."""
    store = opened(path)
    at = store.operating_time() + 1e6
    store.apply(OutboxChanges(rows=[OutboxRow(1, at, stored_body(a_verdict(), 1))]))
    store.close()
    raw = bytearray(path.read_bytes())
    raw[:16] = b"x" * 16
    path.write_bytes(raw)
    again = opened(path)
    (row,) = again.new_reader().batch(0, 9)
    assert again.operating_time() >= row.stored_at
    again.close()


class _Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(12))
def test_a_salvage_killed_anywhere_is_ended_by_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Whichever rename, deletion or commit of a salvage is the last that happens, the next start
    has all that could be saved or says what is missing, and gives no number again."""
    filled(path)
    raw = bytearray(path.read_bytes())
    raw[:16] = b"x" * 16
    path.write_bytes(raw)
    left = step

    def counted(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if left == 0:
                raise _Killed
            left -= 1
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted(Path.rename))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        patched.setattr(
            "edge.storage.outbox.recovery.quarantine.OutboxDatabase", counted(OutboxDatabase)
        )
        patched.setattr(renewal, "sync_folder", counted(renewal.sync_folder))
        try:
            opened(path).close()
        except _Killed as killed:
            _give_back(killed)
    again = opened(path)
    assert again.first > COUNT
    found = numbers_in(path)
    assert len(found) + again.lost_at_most >= COUNT
    assert found == list(range(1, COUNT + 1))  # only the head was damaged: all can be read
    assert list(path.parent.glob("outbox.db.damaged-*"))
    again.close()


def _give_back(killed: BaseException) -> None:
    """The lock, as the end of a process does."""
    trace = killed.__traceback__
    while trace is not None:
        one = trace.tb_frame.f_locals.get("self")
        if isinstance(one, OutboxStore):
            one.close()
        trace = trace.tb_next


_HURT = st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), max_size=40)


@pytest.mark.slow
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hurt=_HURT, cut=st.none() | st.integers(0, 2**20), log=st.booleans())
def test_whatever_is_damaged_it_opens_and_counts(
    tmp_path_factory: pytest.TempPathFactory,
    hurt: list[tuple[int, int]],
    cut: int | None,
    log: bool,
) -> None:
    """Bytes flipped and the end cut anywhere, in the file or its log: it opens, what it hands out
    is right, what is missing is counted, and no number comes again."""
    path = tmp_path_factory.mktemp("flips") / "state" / "outbox.db"
    filled(path, killed=log)
    target = wal_of(path) if log else path
    raw = bytearray(target.read_bytes())
    for at, flip in hurt:
        raw[at % len(raw)] ^= flip
    if cut is not None:
        del raw[cut % len(raw) :]
    target.write_bytes(raw)
    store = opened(path)
    view = store.new_reader()
    try:
        found = view.batch(0, 1000)
    except OutboxError as error:  # found while running: the publisher tells the writer
        store.rebuild(error, RebuildHooks())
        view.close()
        found = view.batch(0, 1000)
    assert all(json.loads(row.body)["seq"] == row.seq for row in found)
    assert len(found) + store.lost_at_most >= COUNT
    assert store.first > COUNT
    view.close()
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("flip", [0x01, 0x04, 0xFF])
def test_whatever_byte_of_the_header_is_hurt_it_opens(path: Path, flip: int) -> None:
    """Every one of the hundred: what SQLite then says of the file is damage, never a disk that
    refuses, for which verdicts would wait in memory for ever."""
    filled(path)
    for at in range(100):
        hurt = path.parent.with_name(f"hurt-{at}") / path.name
        shutil.copytree(path.parent, hurt.parent)
        raw = bytearray(hurt.read_bytes())
        raw[at] ^= flip
        hurt.write_bytes(raw)
        store = opened(hurt)
        view = store.new_reader()
        try:
            found = view.batch(0, 1000)
        except OutboxError as error:
            store.rebuild(error, RebuildHooks())
            view.close()
            found = view.batch(0, 1000)
        assert len(found) + store.lost_at_most >= COUNT, at
        store.apply(OutboxChanges(rows=rows_from(store.first, 1)))
        view.close()
        store.close()
        shutil.rmtree(hurt.parent)
