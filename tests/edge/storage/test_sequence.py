"""No number is given twice, whatever happened to the file that says so."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.storage.outbox.sequence import (
    BLOCK,
    InUseError,
    Progress,
    SequenceAllocator,
    UntrustedError,
)
from edge.storage.outbox.sqlite import OutboxError
from tests.support.outbox_store import opened as opened_store


def opened(folder: Path) -> SequenceAllocator:
    """The allocator of an outbox in a folder, with its own memory folder."""
    (folder / "memory").mkdir(exist_ok=True)
    return SequenceAllocator(folder / "state" / "outbox.db", folder / "memory")


def blocked(folder: Path) -> Path:
    """Puts a file where the outbox's folder must be: no numbers can be written."""
    block = folder / "state"
    block.write_text("")
    return block


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    """A new outbox begins at nothing."""
    numbers = opened(tmp_path)
    assert (numbers.reserved, numbers.issued_unstored, numbers.known) == (0, False, False)
    assert not numbers.unreadable
    assert numbers.progress is None
    numbers.close()


def test_what_was_reserved_is_remembered(tmp_path: Path) -> None:
    """A reservation outlives the process that made it, is above its number, and is one write for
    a block of numbers."""
    numbers = opened(tmp_path)
    numbers.reserve(1, unstored=True)
    before = numbers.path.read_bytes()
    for number in range(2, BLOCK + 1):
        numbers.reserve(number, unstored=True)
    assert numbers.path.read_bytes() == before
    numbers.close()
    again = opened(tmp_path)
    assert again.reserved >= BLOCK
    assert again.issued_unstored
    assert again.known
    again.close()


def test_a_settled_file_says_so(tmp_path: Path) -> None:
    """After an orderly end nothing is given that is not stored; what is reserved stays."""
    numbers = opened(tmp_path)
    numbers.reserve(1, unstored=True)
    numbers.settle()
    numbers.close()
    again = opened(tmp_path)
    assert not again.issued_unstored
    assert again.reserved >= 1
    again.close()


def test_progress_is_remembered(tmp_path: Path) -> None:
    """What the outbox held after its last commit is there for the next start."""
    numbers = opened(tmp_path)
    numbers.reserve(7, unstored=False)
    numbers.committed(Progress(7, 3))
    numbers.close()
    again = opened(tmp_path)
    assert again.progress == Progress(7, 3)
    again.close()


def test_the_file_is_the_lock(tmp_path: Path) -> None:
    """A second one on the same outbox is refused until the first has gone."""
    numbers = opened(tmp_path)
    with pytest.raises(InUseError):
        opened(tmp_path)
    numbers.close()
    opened(tmp_path).close()


def test_a_disk_that_takes_nothing_is_replaced_by_memory(tmp_path: Path) -> None:
    """Where no file can be, reservations go to memory, and the next start finds them there."""
    blocked(tmp_path)
    numbers = opened(tmp_path)
    numbers.reserve(5, unstored=True)
    reserved = numbers.reserved
    numbers.close()
    again = opened(tmp_path)
    assert (again.reserved, again.issued_unstored) == (reserved, True)
    again.close()


def test_memory_is_forgotten_once_the_disk_has_it(tmp_path: Path) -> None:
    """What the disk takes again is no longer in memory."""
    block = blocked(tmp_path)
    numbers = opened(tmp_path)
    numbers.reserve(5, unstored=True)
    assert list((tmp_path / "memory").iterdir())
    block.unlink()
    numbers.reserve(numbers.reserved + 1, unstored=True)
    assert not list((tmp_path / "memory").iterdir())
    numbers.close()


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 1500), flip=st.integers(1, 255))
def test_a_flipped_byte_never_takes_numbers_back(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    """One byte that changed costs at most the newest of the two records: what is left is either
    still enough, or `unreadable` tells that it is not."""
    folder = tmp_path_factory.mktemp("numbers")
    numbers = opened(folder)
    numbers.reserve(1, unstored=True)
    numbers.close()
    raw = bytearray(numbers.path.read_bytes())
    at %= len(raw)
    raw[at] ^= flip
    numbers.path.write_bytes(raw)
    again = opened(folder)
    assert again.unreadable or again.reserved >= 1
    again.close()


def test_the_newest_of_two_records_torn_is_known(tmp_path: Path) -> None:
    """After several reservations, a torn newest record leaves numbers that may have been given
    behind the older one: the next start must detect it, or the progress record must be higher."""
    numbers = opened(tmp_path)
    numbers.reserve(1, unstored=True)
    numbers.reserve(numbers.reserved + 1, unstored=True)
    highest = numbers.reserved
    numbers.close()
    raw = bytearray(numbers.path.read_bytes())
    slot = max((0, 512), key=lambda at: raw[at : at + 60])  # the record with the higher turn
    raw[slot + 30] ^= 1
    numbers.path.write_bytes(raw)
    again = opened(tmp_path)
    assert again.unreadable or again.reserved + 2 * BLOCK >= highest
    again.close()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def forged(reserved: int) -> bytes:
    """A record as another user could write it."""
    head = b"edge-inspect numbers 1 %020d %020d %020d " % (10**6, reserved, 1)
    return head + b"%08x\n" % zlib.crc32(head)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda p: (p.rename(p.with_name("x")), p.symlink_to("x")), "is a link"),
        (lambda p: p.chmod(0o606), "chmod 600"),
        (lambda p: (p.unlink(), p.mkdir()), "no regular file"),
        (_pipe, "no regular file"),
    ],
    ids=["link", "writable", "folder", "pipe"],
)
def test_what_another_user_may_have_written_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    """Neither read nor written; the outbox says it in a sentence."""
    path = tmp_path / "state" / "outbox.db"
    opened_store(path).close()
    spoil(path.with_name("outbox.db.numbers"))
    with pytest.raises(OutboxError, match=rf"outbox\.db\.numbers: .*{why}") as caught:
        opened_store(path)
    assert caught.value.kind == "permanent"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_refused(tmp_path: Path) -> None:
    """It was there before ours, in a folder that both may write."""
    numbers = opened(tmp_path)
    numbers.close()
    os.chown(numbers.path, 4711, -1)
    with pytest.raises(UntrustedError, match="uid 4711"):
        opened(tmp_path)
    os.chown(numbers.path.parent, 4711, -1)  # its folder is that user's too
    opened(tmp_path).close()


@pytest.mark.parametrize("how", ["writable", "link"])
def test_a_record_in_memory_is_believed_only_in_a_private_folder(tmp_path: Path, how: str) -> None:
    """Every user may write into /dev/shm: a forged record skips no number, and ours is not written
    into another's folder."""
    blocked(tmp_path)
    numbers = opened(tmp_path)
    numbers.reserve(5, unstored=True)
    (record,) = (tmp_path / "memory").iterdir()
    record.write_bytes(forged(10**12))
    numbers.close()
    if how == "writable":
        (tmp_path / "memory").chmod(0o777)
    else:
        (tmp_path / "memory").rename(tmp_path / "theirs")
        (tmp_path / "memory").symlink_to("theirs")
    again = opened(tmp_path)
    assert again.reserved == 0
    again.reserve(5, unstored=True)
    assert record.read_bytes() == forged(10**12)
    again.close()


def test_a_number_that_sqlite_cannot_hold_is_no_record(tmp_path: Path) -> None:
    """A damaged or forged record must not end storing for good."""
    numbers = opened(tmp_path)
    numbers.path.write_bytes(forged(2**63))
    numbers.close()
    again = opened(tmp_path)
    assert again.reserved == 0
    assert again.unreadable
    again.close()
