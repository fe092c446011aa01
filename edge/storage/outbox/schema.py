"""The tables of the outbox's file, and the upgrade of a file that an earlier version wrote.

The file stays readable for the version before: a rollback finds its own schema number.
"""

import sqlite3
import zlib
from pathlib import Path

from edge.storage.outbox.ownership import APPLICATION_ID
from edge.storage.outbox.sqlite import OutboxError

SCHEMA = 2
_OUTBOX_TABLE = """CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    stored_at REAL NOT NULL,
    parked TEXT,
    crc INTEGER NOT NULL,
    body BLOB NOT NULL
)"""
_OTHER_TABLES = """
CREATE INDEX IF NOT EXISTS outbox_parked ON outbox (seq) WHERE parked IS NOT NULL;
CREATE TABLE IF NOT EXISTS judged (
    camera TEXT NOT NULL,
    receipt TEXT NOT NULL,
    PRIMARY KEY (camera, receipt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL,
    rows INTEGER NOT NULL
);
"""


def schema_of(db: sqlite3.Connection, path: Path) -> int:
    """The schema number of an open file; 0: it is new.

    Raises OutboxError for a file of a newer edge-inspect, and sqlite3.DatabaseError for a number
    that no version ever wrote.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version in (0, 1, SCHEMA):
        return version
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID + version:  # a byte of the header has changed
        raise sqlite3.DatabaseError(f"malformed: schema {version}")
    raise OutboxError(
        f"{path}: written by another edge-inspect (outbox schema {version}); "
        "install the newer version, or name a new file as outbox.path"
    )


def upgrade(db: sqlite3.Connection, version: int) -> None:
    """Creates the tables and copies the rows of schema 1. Belongs into one transaction."""
    last = 0
    if version == 1:
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        db.execute("DROP INDEX outbox_parked")
        db.execute("DROP INDEX outbox_stored_at")
        db.execute("ALTER TABLE outbox RENAME TO former")
    db.execute(_OUTBOX_TABLE)
    for statement in filter(str.strip, _OTHER_TABLES.split(";")):
        db.execute(statement)
    count = 0
    if version == 1:
        for seq, body in db.execute("SELECT seq, body FROM former"):
            row = (seq, 0.0, zlib.crc32(body), body)  # schema 1 had no operating time: ages restart
            db.execute("INSERT INTO outbox VALUES (?, ?, NULL, ?, ?)", row)
            count, last = count + 1, max(last, seq)
        db.execute("DROP TABLE former")
    db.execute("INSERT INTO state VALUES (1, ?, ?)", (last, count))
    db.execute(f"PRAGMA user_version={SCHEMA}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID + SCHEMA}")
