"""Whether the file at outbox.path is ours. A foreign one is refused, never renamed or changed.

A damaged outbox of ours must still be recovered, so one of these is enough:
- SQLite's application id, or the text of one of our tables, in the file or its log;
- no database that SQLite could read, but our file of numbers beside it, or a verdict in its bytes;
- nothing but zeros, as a power cut leaves a new file.
"""

import os
import stat
from pathlib import Path

from edge.storage.outbox.recovery.carve import carve_file
from edge.storage.outbox.sqlite import OutboxError, translate_errors, wal_of

APPLICATION_ID = 0x0ED6E000  # plus the schema number, which has 12 bits
_APPLICATION_ID_AT = 68  # SQLite's file format, section 1.3
_VERSION_AT = 60
_MAGIC = b"SQLite format 3\0"
_TABLES = (
    b"CREATETABLEoutbox(seqINTEGERPRIMARYKEY",  # without white space
    b"CREATETABLEjudged(cameraTEXTNOTNULL",
    b"oneINTEGERPRIMARYKEYCHECK(one=1)",
)
_HEAD = 65_536  # bytes: SQLite's largest page; the first one names the tables
_LOG = 8 * 2**20
_NUMBERS = b"edge-inspect numbers "


def numbers_of(outbox: Path) -> Path:
    """The file of numbers beside an outbox."""
    return outbox.with_name(f"{outbox.name}.numbers")


def require_ours(path: Path, outbox: Path | None = None) -> None:
    """Raises OutboxError, of the kind `permanent`, when there is another program's file at `path`,
    a link, or no regular file. Changes nothing.

    outbox: the outbox that the file belongs to; None: it is one itself.
    """
    with translate_errors(path, "opened"):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            target = path.readlink()
            raise OutboxError(f"{path}: is a link to {target}; name the file itself as outbox.path")
        if not stat.S_ISREG(mode):
            raise OutboxError(
                f"{path}: the outbox must be a regular file; choose another outbox.path"
            )
        what = _foreign(path, outbox or path)
    if what:
        raise OutboxError(
            f"{path}: is {what}, not an outbox of edge-inspect; it stays as it is: name another "
            "file as outbox.path, or move this one away"
        )


def _foreign(path: Path, outbox: Path) -> str:
    """The kind of the file; empty: ours."""
    head, log = _start_of(path, _HEAD), _start_of(wal_of(path), _LOG)
    application_id = int.from_bytes(head[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
    if not any(head) or application_id & ~0xFFF == APPLICATION_ID:
        return ""
    text = b"".join([*head.split(), *log.split()])
    if any(table in text for table in _TABLES):
        return ""
    database = head.startswith(_MAGIC)
    if database and (b"CREATE " in head or b"CREATE " in log):
        return "a database of another program"
    if _NUMBERS in _start_of(numbers_of(outbox), 4096):
        return ""
    if database:  # without a table; ours has no mark before its first commit
        marks = head[_VERSION_AT : _VERSION_AT + 4] + head[_APPLICATION_ID_AT:][:4]
        return "a database of another program" if any(marks) else ""
    if _is_text(head):
        return "a text file"
    return "" if next(carve_file(path), None) else "a file of another program"


def _start_of(path: Path, size: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    try:
        return os.read(file, size)
    finally:
        os.close(file)


def _is_text(head: bytes) -> bool:
    return not set(head) & (set(range(32)) - set(b"\t\n\f\r\x1b"))
