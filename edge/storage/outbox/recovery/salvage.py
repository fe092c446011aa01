"""Reads the rows of a damaged outbox: through SQLite as far as possible, then by carving the raw
bytes. Changes nothing in the file."""

import contextlib
import json
import sqlite3
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.recovery.carve import carve_file
from edge.storage.outbox.recovery.staging import StagingTable
from edge.storage.outbox.sequence import Progress
from edge.storage.outbox.sqlite import wal_of


@dataclass(slots=True)
class RecoveredRows:
    """`last`: the highest number seen. `lost_at_most`: waiting verdicts that may be missing."""

    rows: StagingTable
    receipts: list[tuple[str, str]] = field(default_factory=list)
    last: int = 0
    lost_at_most: int = 0


def salvage(path: Path, progress: Progress | None, staging: StagingTable) -> RecoveredRows:
    """Saves everything readable in a damaged file and its log.

    progress: the counts that the file should hold; None: unknown.
    staging: receives the rows; empty at the call.

    Raises OutboxError when the disk refuses the staging table, and nothing else.
    """
    found = RecoveredRows(staging)
    whole, expected = _read_all(path, found)
    floor = progress.oldest if progress is not None and progress.oldest else None
    # rows before the first waiting one were delivered and deleted
    least = floor if floor is not None else staging.lowest if whole else 0
    _carve_into(found, wal_of(path), least)
    if not whole or expected != len(staging):
        _carve_into(found, path, least)
    recorded = progress.last if progress is not None else 0
    found.last = max(found.last, recorded, staging.highest)
    if expected is None or not whole:  # how many waited is unknown
        expected = found.last - (floor or 1) + 1
    found.lost_at_most = max(0, expected - len(staging))
    return found


def last_number_seen(path: Path) -> int | None:
    """The highest readable number in a file that cannot be opened, as on a full disk; None: the
    disk does not read it. Changes nothing, and needs no free space."""
    for file in (path, wal_of(path)):
        try:
            file.open("rb").close()
        except FileNotFoundError:
            continue
        except OSError:
            return None
    try:
        uri = f"{path.absolute().as_uri()}?immutable=1"  # without the log and its locks
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            found = int(db.execute("SELECT last FROM state").fetchone()[0])
    except (sqlite3.Error, ValueError, TypeError):
        found = max((row.seq for row in carve_file(path)), default=0)
    return max([found, *(row.seq for row in carve_file(wal_of(path)))])


def _read_all(path: Path, found: RecoveredRows) -> tuple[bool, int | None]:
    """Reads through SQLite. Returns whether all rows were right, and how many there should be."""
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


def _carve_into(found: RecoveredRows, file: Path, least: int) -> None:
    for row in carve_file(file):
        if row.seq >= least:  # earlier rows were delivered
            found.rows.add(row)


def _walk(db: sqlite3.Connection, found: RecoveredRows, *, descending: bool) -> bool:
    """Reads rows from one end of the table as far as possible, and skips wrong ones. Returns
    whether all were right."""
    order = "DESC" if descending else "ASC"
    right = True
    reached = found.rows.highest if descending else 0  # by the pass from the other end
    try:
        columns = [str(c[1]) for c in db.execute("PRAGMA table_info(outbox)")]
        crc = "crc" if "crc" in columns else "NULL"
        for seq, at, expected, body in db.execute(
            f"SELECT seq, stored_at, {crc}, body FROM outbox ORDER BY seq {order}"  # noqa: S608  fixed words only
        ):
            if descending and seq <= reached:
                break
            if isinstance(body, bytes) and _is_row(seq, expected, body):
                found.rows.add(OutboxRow(seq, float(at) if crc == "crc" else 0.0, body))
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
