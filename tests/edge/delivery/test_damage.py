"""What it costs to look for verdicts in the bytes of a damaged file."""

import zlib
from pathlib import Path
from typing import Any

from edge.delivery.damage import _stored_sum, carved
from edge.delivery.outbox import Outbox
from tests.edge.delivery.test_outbox import HOUR, MB, rows_from

COUNT = 300


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
    box = Outbox(tmp_path / "outbox.db", 8 * MB, HOUR)
    rows = rows_from(1, COUNT)
    box.apply(rows, [], [], [], 1.0)
    box.close()
    raw = Told((tmp_path / "outbox.db").read_bytes() + bytes(4 * MB))
    assert {row.seq: row.body for row in carved(raw)} == {row.seq: row.body for row in rows}
    assert raw.read < COUNT * 20_000


def test_a_long_verdict_is_found(tmp_path: Path) -> None:
    """One that is longer than most is read a second time, whole."""
    (short, long, last) = [*rows_from(1, 1), *rows_from(2, 1, part="é" * 9000), *rows_from(3, 1)]
    raw = b"".join(_as_stored(row.body) for row in (short, long, last))
    assert [row.seq for row in carved(raw)] == [1, 2, 3]


def _as_stored(body: bytes) -> bytes:
    """The checksum as SQLite writes it, and the body; as damage.py knows it."""
    return _stored_sum(zlib.crc32(body)) + body
