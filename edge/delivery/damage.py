"""A damaged outbox: set aside, never deleted, and every verdict that can still be read is saved.

What cannot be reached by SQLite any more is looked for in the bytes themselves: a verdict is a JSON
text that begins in a known way, ends by itself, and names its own number.
"""

import contextlib
import json
import os
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge.delivery.message import RESULT_SCHEMA
from edge.delivery.numbers import Progress
from edge.delivery.outbox import Outbox
from edge.delivery.outboxfile import naming, wal_of
from edge.delivery.row import Row
from edge.delivery.spool import Spool
from edge.delivery.spool import place_of as spool_of

_START = f'{{"schema":"{RESULT_SCHEMA}","id":"'.encode()
# bytes of a verdict: read first, and at most; to read the most for each would take hours
_USUAL, _LONGEST = 1 << 13, 1 << 20
_WAL_HEAD = struct.Struct(">8I")
_FRAME_HEAD = struct.Struct(">6I")
_DECODER = json.JSONDecoder()
_HIGHEST = 2**62
_PIECE, _PAGE = 8 << 20, 4096  # bytes


@dataclass(slots=True)
class Salvage:
    """What was saved. `last` is the highest number seen. `lost_at_most`: how many verdicts that
    waited may not be among them."""

    rows: Spool
    receipts: list[tuple[str, str]] = field(default_factory=list)
    last: int = 0
    lost_at_most: int = 0


def salvage(path: Path, progress: Progress | None, spool: Spool) -> Salvage:
    """Everything readable in a damaged file and beside it, which stay as they are; rows go into the
    `spool`, which is empty. `progress`: what it should hold, as far as that is known. Raises
    OutboxError when the disk does not take what is found, and nothing else."""
    found = Salvage(spool)
    whole, expected = _read_all(path, found)
    floor = progress.oldest if progress is not None and progress.oldest else None
    # what lies before the first that waited was delivered and forgotten
    least = floor if floor is not None else spool.lowest if whole else 0
    _carve_into(found, wal_of(path), least)
    if not whole or expected != len(spool):
        _carve_into(found, path, least)
    said = progress.last if progress is not None else 0
    found.last = max(found.last, said, spool.highest)
    if expected is None or not whole:  # nobody knows how many waited
        expected = found.last - (floor or 1) + 1
    found.lost_at_most = max(0, expected - len(spool))
    return found


def renewed(
    path: Path,
    limits: tuple[int, float],
    rows: Iterable[Sequence[Row]],
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


def _read_all(path: Path, found: Salvage) -> tuple[bool, int | None]:
    """By SQLite, read only: whether all rows were right, and how many there should be."""
    whole, expected = False, None
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with (
        contextlib.suppress(sqlite3.Error, OSError),
        contextlib.closing(sqlite3.connect(uri, uri=True)) as db,
    ):
        whole = _walk(db, found, descending=False)
        if not whole:
            _walk(db, found, descending=True)
        with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
            for camera, receipt in db.execute("SELECT camera, receipt FROM judged"):
                found.receipts.append((str(camera), str(receipt)))
        with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
            last, rows = db.execute("SELECT last, rows FROM state").fetchone()
            if 0 <= rows <= last < 2**62:
                found.last, expected = int(last), int(rows)
    return whole, expected


def _carve_into(found: Salvage, file: Path, least: int) -> None:
    for raw in _pieces(file):
        for row in carved(raw):
            if row.seq >= least:  # what lies before the first that is alive was delivered
                found.rows.add(row)


def carved(raw: bytes) -> Iterator[Row]:
    """Verdicts in bytes of any kind, in the order in which they lie there; of two with one number
    each comes; one whose checksum, which SQLite keeps right before it, is wrong does not: a bit
    may have made another verdict of it. Their time is 0: it was beside them."""
    for match in re.finditer(re.escape(_START), raw):
        start = match.start()
        found = _text_at(raw, start, _USUAL) or _text_at(raw, start, _LONGEST)
        if found is None:
            continue
        seq, encoded = found
        sum_ = _stored_sum(zlib.crc32(encoded))
        summed = raw[max(0, start - len(sum_)) : start] == sum_
        if type(seq) is int and 0 < seq < _HIGHEST and summed:
            yield Row(seq, 0.0, encoded)


def _text_at(raw: bytes, start: int, longest: int) -> tuple[object, bytes] | None:
    """Number and text of the verdict that begins there and is not longer."""
    text = raw[start : start + longest].decode("utf-8", "replace")
    try:
        body, end = _DECODER.raw_decode(text)
        return body["seq"], text[:end].encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _stored_sum(crc: int) -> bytes:
    """A checksum as SQLite writes it: in 0 (for 0 and 1), 1, 2, 3, 4 or 6 bytes (file format,
    section 2.1)."""
    widths = ((0, 2), (1, 1 << 7), (2, 1 << 15), (3, 1 << 23), (4, 1 << 31))
    width = next((width for width, end in widths if crc < end), 6)
    return crc.to_bytes(width, "big") if width else b""


def behind_the_break(path: Path) -> list[Row]:
    """Verdicts in SQLite's log behind the first frame whose checksum is wrong: SQLite would pass
    over them without a word. Empty when the log is whole, or ends in mid-write."""
    raw = _bytes_of(wal_of(path))
    if len(raw) < _WAL_HEAD.size:
        return []
    head = _WAL_HEAD.unpack_from(raw)
    order = "<" if head[0] == 0x377F0682 else ">"
    page, salts = head[2], head[4:6]
    if head[0] not in (0x377F0682, 0x377F0683) or not 512 <= page <= 65536:
        return list(carved(raw))
    sums = _checksum(raw[:24], (0, 0), order)
    if sums != head[6:8]:
        return list(carved(raw))
    at, size = _WAL_HEAD.size, _FRAME_HEAD.size + page
    while at + size <= len(raw):
        frame = _FRAME_HEAD.unpack_from(raw, at)
        if frame[2:4] != salts:
            return []  # of an earlier round of the log: here it ends
        sums = _checksum(raw[at : at + 8], sums, order)
        sums = _checksum(raw[at + _FRAME_HEAD.size : at + size], sums, order)
        if sums != frame[4:6]:
            return list(carved(raw[at:]))
        at += size
    return []


def _walk(db: sqlite3.Connection, found: Salvage, *, descending: bool) -> bool:
    """Rows from one end of the table, as far as it can be read; a wrong one is left out. Whether
    all were right."""
    order = "DESC" if descending else "ASC"
    right = True
    met = found.rows.highest if descending else 0  # what came from the other end
    try:
        columns = [str(c[1]) for c in db.execute("PRAGMA table_info(outbox)")]
        crc = "crc" if "crc" in columns else "NULL"
        for seq, at, expected, body in db.execute(
            f"SELECT seq, stored_at, {crc}, body FROM outbox ORDER BY seq {order}"  # noqa: S608  fixed words only
        ):
            if descending and seq <= met:
                break
            if isinstance(body, bytes) and _is_row(seq, expected, body):
                found.rows.add(Row(seq, float(at) if crc == "crc" else 0.0, body))
            else:
                right = False
    except (sqlite3.Error, ValueError, TypeError, OverflowError):
        return False
    return right


def _is_row(seq: object, crc: object, body: bytes) -> bool:
    if crc is not None and zlib.crc32(body) != crc:
        return False
    try:
        return bool(json.loads(body)["seq"] == seq)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _checksum(data: bytes, start: tuple[int, ...], order: str) -> tuple[int, int]:
    """SQLite's checksum of its log (file format, section 4.2)."""
    one, two = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2]):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 30)
    except OSError:
        return b""


def _pieces(path: Path) -> Iterator[bytes]:
    """All of a file, however large and whatever of it the disk still gives. Each piece but the last
    holds the beginning of the next, so that every verdict is whole in one."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        size = os.fstat(file).st_size
        for at in range(0, size, _PIECE):
            first = max(0, at - _PAGE)  # a checksum stands before its verdict
            yield _read_at(file, first, at + _PIECE + _LONGEST - first)
    finally:
        os.close(file)


def _read_at(file: int, at: int, size: int) -> bytes:
    """Bytes of a file; zeros where the disk gives none."""
    try:
        return os.pread(file, size, at)
    except OSError:
        if size <= _PAGE:
            return bytes(size)
    pages = range(at, min(at + size, os.fstat(file).st_size), _PAGE)
    return b"".join(_read_at(file, page, min(_PAGE, at + size - page)) for page in pages)
