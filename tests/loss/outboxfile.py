"""Reads and damages the outbox's file from outside, while no process has it open."""

import contextlib
import json
import random
import shutil
import sqlite3
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

UNREADABLE = "unreadable"  # the name of a row with a wrong checksum begins so


@dataclass(frozen=True, slots=True)
class Waiting:
    """A verdict in the file."""

    seq: int
    id: str
    parked: str | None


def read(path: Path) -> list[Waiting] | None:
    """The verdicts in the file, read from a copy so that the file stays unchanged; None when SQLite
    cannot read it."""
    if not path.is_file():
        return []
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy.db"
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(path, copy)
            shutil.copy(_wal(path), _wal(copy))
        try:
            with contextlib.closing(sqlite3.connect(copy)) as db:
                return _rows(db)
        except sqlite3.OperationalError as error:
            return [] if "no such table" in str(error) else None
        except (sqlite3.DatabaseError, ValueError):
            return None


def count(path: Path) -> int | None:
    """The number of waiting verdicts, read while a box has the file open; None: unreadable."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _rows(db: sqlite3.Connection) -> list[Waiting]:
    rows = []
    for seq, crc, body, parked in db.execute(
        "SELECT seq, crc, body, parked FROM outbox ORDER BY seq"
    ):
        whole = isinstance(body, bytes) and zlib.crc32(body) == crc
        name = str(json.loads(body)["id"]) if whole else f"{UNREADABLE} {seq}"
        rows.append(Waiting(seq, name, parked))
    return rows


def size(path: Path) -> int:
    """Bytes of the database and its write-ahead log."""
    total = 0
    for file in (path, _wal(path)):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def largest(path: Path) -> int:
    """Bytes of the larger of the two files."""
    sizes = [0]
    for file in (path, _wal(path)):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return max(sizes)


def flip_bytes(path: Path, chance: random.Random) -> str:
    """Changes some bytes in one of the two files. Returns a description."""
    file = _victim(path, chance)
    if file is None:
        return "nothing to flip"
    data = bytearray(file.read_bytes())
    places = sorted(chance.randrange(len(data)) for _ in range(chance.choice((1, 2, 16))))
    if chance.random() < 0.2:  # the first page tells SQLite what the file is
        places[0] = chance.randrange(min(100, len(data)))
    for place in places:
        data[place] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    return f"{file.name}: {len(places)} bytes flipped from {places[0]} on"


def tear_tail(path: Path, chance: random.Random) -> str:
    """Appends to the log what a power cut may leave there: garbage, zeros, a part of a frame.
    Without a log, truncates the database, as a file system check may. Returns a description."""
    file = _wal(path)
    if not file.is_file() or not file.stat().st_size or chance.random() < 0.2:
        return _cut_off(path, chance)
    length = file.stat().st_size
    more = chance.choice((1, 24, 500, 4120, 9000))
    frame = file.read_bytes()[-4120:]
    tail = chance.choice((bytes(more), chance.randbytes(more), frame[: more % 4120]))
    with file.open("ab") as opened:
        opened.write(tail)
    return f"{file.name}: {len(tail)} bytes of garbage after {length}"


def lose_tail(path: Path, chance: random.Random) -> str:
    """Truncates the committed log, as a disk does that reported a write without doing it. Returns a
    description."""
    return _cut_off(_wal(path), chance)


def _cut_off(file: Path, chance: random.Random) -> str:
    length = file.stat().st_size if file.is_file() else 0
    if not length:
        return "nothing to cut"
    left = chance.randrange(length)
    with file.open("r+b") as opened:
        opened.truncate(left)
    return f"{file.name}: cut off at {left} of {length}"


def _victim(path: Path, chance: random.Random) -> Path | None:
    files = [f for f in (path, _wal(path)) if f.is_file() and f.stat().st_size]
    return chance.choice(files) if files else None


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
