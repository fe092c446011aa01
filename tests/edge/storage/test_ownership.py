"""Another program's file at outbox.path is refused and stays as it is; our own, however damaged, is
still recovered."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.messages import stored_body
from edge.storage.outbox.ownership import require_ours
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.sqlite import OutboxError
from tests.support.outbox_rows import numbers_in, rows_from
from tests.support.outbox_store import opened
from tests.support.verdicts import a_verdict


def database(path: Path, *statements: str) -> None:
    """A database of another program."""
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def _historian(path: Path) -> None:
    """A plant's own log of our messages."""
    database(path, "CREATE TABLE results (body TEXT)")
    with closing(sqlite3.connect(path)) as db:
        body = stored_body(a_verdict(), 1).decode()
        db.executemany("INSERT INTO results VALUES (?)", [(body,)] * 50)
        db.commit()


def _in_its_log(path: Path) -> None:
    """Killed before SQLite moved its tables from the log into the file."""
    source = path.with_name("source.db")
    with closing(sqlite3.connect(source)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE parts (number INTEGER)")
        db.commit()
        shutil.copy(source, path)
        shutil.copy(f"{source}-wal", f"{path}-wal")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "database": lambda p: database(p, "CREATE TABLE parts (number INTEGER)"),
    "database-in-wal": _in_its_log,
    "database-with-an-outbox": lambda p: database(
        p, "CREATE TABLE outbox (id TEXT)", "PRAGMA user_version=2"
    ),
    "database-with-our-version": lambda p: database(p, "PRAGMA user_version=1"),
    "database-with-a-mark": lambda p: database(p, "PRAGMA application_id=77"),
    "historian": _historian,
    "text": lambda p: p.write_text("Ü list of parts\n" * 100, encoding="utf-8"),
    "one-letter": lambda p: p.write_text("x"),
    "results-as-lines": lambda p: p.write_bytes(stored_body(a_verdict(), 1) * 9),
    "picture": lambda p: p.write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9),
    "folder": lambda p: p.mkdir(),
    "pipe": os.mkfifo,
    "link-to-nowhere": lambda p: p.symlink_to("nowhere"),
}


def listing(folder: Path) -> dict[str, object]:
    """Every entry with its content."""
    return {
        entry.name: (entry.lstat().st_ino, entry.read_bytes() if entry.is_file() else None)
        for entry in folder.iterdir()
    }


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    """It is refused with a sentence; nothing in its folder is renamed, changed or added."""
    path = tmp_path / "outbox.db"
    FOREIGN[kind](path)
    before = listing(tmp_path)
    for _ in range(2):
        with pytest.raises(OutboxError, match=r"outbox\.path") as caught:
            opened(path)
        assert caught.value.kind == "permanent"
        assert str(path) in str(caught.value)
    assert listing(tmp_path) == before


def test_a_link_is_refused_though_it_leads_to_an_outbox(tmp_path: Path) -> None:
    """SQLite would keep its log beside the target, and a rebuild would replace the link."""
    opened(tmp_path / "real.db").close()
    (tmp_path / "outbox.db").symlink_to("real.db")
    with pytest.raises(OutboxError, match=r"is a link to real\.db; name the file itself"):
        opened(tmp_path / "outbox.db")


@pytest.mark.parametrize("kind", ["database", "database-in-wal", "historian"])
def test_a_foreign_database_beside_our_numbers_is_refused(tmp_path: Path, kind: str) -> None:
    """It was put into the place of our outbox: it can be read, so it is no damage."""
    path = tmp_path / "outbox.db"
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(1, 3)))
    store.close()
    path.unlink()
    FOREIGN[kind](path)
    before = listing(tmp_path)
    with pytest.raises(OutboxError, match="a database of another program"):
        opened(path)
    assert listing(tmp_path) == before


def test_a_foreign_file_in_the_place_of_the_open_one(tmp_path: Path) -> None:
    """The commit is refused, and no row is lost: the deleted file stays open until there is room
    for it again."""
    path = tmp_path / "outbox.db"
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(1, 3)))
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        file.unlink()
    FOREIGN["database"](path)
    foreign = path.read_bytes()
    for _ in range(2):
        with pytest.raises(OutboxError, match="a database of another program"):
            store.apply(OutboxChanges(rows=rows_from(4, 1)))
    assert "a database of another program" in store.fault
    assert path.read_bytes() == foreign
    path.rename(tmp_path / "away.db")
    store.apply(OutboxChanges(rows=rows_from(4, 1)))
    assert numbers_in(path) == [1, 2, 3, 4]
    store.close()


def test_a_foreign_file_with_the_name_of_a_rebuild(tmp_path: Path) -> None:
    """`outbox.db.new` is deleted or renamed only when it is ours."""
    path, new = tmp_path / "outbox.db", tmp_path / "outbox.db.new"
    FOREIGN["database"](new)
    before = listing(tmp_path)
    with pytest.raises(OutboxError, match=r"outbox\.db\.new: is a database of another program"):
        opened(path)
    assert {n: e for n, e in listing(tmp_path).items() if n == new.name} == before


def test_what_a_killed_first_start_leaves_is_ours(tmp_path: Path) -> None:
    """SQLite's file before the first commit: empty, zeros, or one page without a table."""
    path = tmp_path / "outbox.db"
    for content in (b"", bytes(4096)):
        path.write_bytes(content)
        require_ours(path)
    path.unlink()
    database(path, "PRAGMA journal_mode=WAL", "PRAGMA auto_vacuum=INCREMENTAL")
    require_ours(path)
    opened(path).close()


_HURT = st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), max_size=40)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(hurt=_HURT, start=st.binary(max_size=100), cut=st.none() | st.integers(1, 2**20))
def test_our_own_damaged_file_is_ours(
    tmp_path_factory: pytest.TempPathFactory,
    hurt: list[tuple[int, int]],
    start: bytes,
    cut: int | None,
) -> None:
    """Bytes flipped anywhere, the beginning written over, the end cut off: it is recovered, not
    refused."""
    path = tmp_path_factory.mktemp("damage") / "outbox.db"
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(1, 30)))
    store.close()
    raw = bytearray(path.read_bytes())
    for at, flip in hurt:
        raw[at % len(raw)] ^= flip
    raw[: len(start)] = start
    if cut is not None:
        del raw[cut % len(raw) :]
    path.write_bytes(raw)
    require_ours(path)


def test_a_file_without_its_head_and_numbers_is_ours(tmp_path: Path) -> None:
    """Its verdicts tell: the first 64 KB and the file of numbers are gone."""
    path = tmp_path / "outbox.db"
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(1, 300)))
    store.close()
    store.numbers.path.unlink()
    raw = path.read_bytes()
    path.write_bytes(bytes(65_536) + raw[65_536:])
    opened(path).close()
    assert list(tmp_path.glob("outbox.db.damaged-*"))


def test_a_disk_that_does_not_answer_is_no_foreign_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start goes on from memory, as with every disk that refuses."""
    path = tmp_path / "outbox.db"
    store = opened(path)
    store.apply(OutboxChanges(rows=rows_from(1, 3)))
    store.close()

    def broken(*_: object, **__: object) -> os.stat_result:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "lstat", broken)
        store = opened(path)
    assert "Input/output error" in store.fault
    store.open(RebuildHooks())
    assert not store.fault
    store.close()
