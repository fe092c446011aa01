"""The outbox's file seen from outside, while nobody has it open: what stands in it, and how it is
damaged on purpose."""

import contextlib
import json
import random
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Waiting:
    """A verdict in the file."""

    seq: int
    id: str
    parked: str | None


def read(path: Path) -> list[Waiting] | None:
    """The verdicts in the file, read from a copy so that nothing in it is changed; None when SQLite
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
    """How many verdicts wait, read while a box has the file open; None when it cannot be read just
    now."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _rows(db: sqlite3.Connection) -> list[Waiting]:
    found = db.execute("SELECT seq, body, parked FROM outbox ORDER BY seq")
    return [Waiting(seq, str(json.loads(body)["id"]), parked) for seq, body, parked in found]


def size(path: Path) -> int:
    """Bytes of the database and its write-ahead log."""
    total = 0
    for file in (path, _wal(path)):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def largest(path: Path) -> int:
    """Bytes of the larger of the two."""
    sizes = [0]
    for file in (path, _wal(path)):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return max(sizes)


def flip_bytes(path: Path, chance: random.Random) -> str:
    """Some bytes change, in one of the two files. Returns what was done."""
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
    """What a power cut leaves behind a file's good part: garbage, half a page, zeros; or the file
    is cut off. Returns what was done."""
    file = _victim(path, chance)
    if file is None:
        return "nothing to tear"
    length = file.stat().st_size
    if file == _wal(path) and chance.random() < 0.6:
        more = chance.choice((1, 24, 500, 4120, 9000))
        tail = chance.choice((bytes(more), chance.randbytes(more)))
        with file.open("ab") as opened:
            opened.write(tail)
        return f"{file.name}: {more} bytes of garbage after {length}"
    left = chance.randrange(length)
    with file.open("r+b") as opened:
        opened.truncate(left)
    return f"{file.name}: cut off at {left} of {length}"


def _victim(path: Path, chance: random.Random) -> Path | None:
    files = [f for f in (path, _wal(path)) if f.is_file() and f.stat().st_size]
    return chance.choice(files) if files else None


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
