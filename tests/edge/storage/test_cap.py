"""`outbox.max_mb` counts the file and its log, whatever the commits, the disk and other programs
do."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.storage.outbox.database import PAGE, OutboxDatabase
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.sqlite import OutboxError, wal_of
from tests.support.outbox_rows import HOUR, numbers_in, rows_from

CAP = 256 * 1024
STATEMENT = 16  # rows that are inserted before the cap is looked at again


def bytes_of(path: Path) -> int:
    """The file with its log."""
    return path.stat().st_size + (wal_of(path).stat().st_size if wal_of(path).exists() else 0)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    commits=st.lists(
        st.tuples(st.sampled_from([1, 3, 60, 256]), st.integers(0, 3000), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_no_commit_enlarges_the_file_past_its_cap(commits: list[tuple[int, int, bool]]) -> None:
    """Old rows go while new ones come, not behind them: the file never has room for both. It would
    keep that size for ever. `True`: the broker has all earlier rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.db"
        with closing(OutboxDatabase(path, CAP, HOUR)) as box:
            first = 1
            for count, size, accepted in commits:
                rows = rows_from(first, count, part="x" * size)
                before = numbers_in(path)
                acked = before if accepted else []
                result = box.apply(OutboxChanges(rows=rows, accepted=acked), 1.0)
                assert result.acked == len(acked)
                kept = [*([] if accepted else before), *range(first, first + count)]
                assert numbers_in(path) == kept[len(result.over_cap) :]
                assert list(result.over_cap) == kept[: len(result.over_cap)]
                largest = max(len(row.body) for row in rows)
                assert path.stat().st_size <= CAP + STATEMENT * (largest + PAGE)
                first += count


@pytest.mark.slow
def test_a_program_that_reads_for_hours_does_not_let_the_log_grow(tmp_path: Path) -> None:
    """SQLite keeps its log as long as anyone reads an old state. Past the cap the commit is
    refused with the reason, and works again when the reader has gone."""
    path = tmp_path / "outbox.db"
    with closing(OutboxDatabase(path, CAP, HOUR)) as box:
        box.apply(OutboxChanges(rows=rows_from(1, 1)), 1.0)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM outbox").fetchall()
            seq = 2
            while bytes_of(path) <= CAP:
                box.apply(OutboxChanges(rows=rows_from(seq, 1), accepted=[seq - 1]), 1.0)
                seq += 1
            changes = OutboxChanges(rows=rows_from(seq, 1), accepted=[seq - 1])
            with pytest.raises(OutboxError, match="end that program") as caught:
                box.apply(changes, 1.0)
        assert caught.value.kind == "refused"
        assert str(path) in str(caught.value)
        assert bytes_of(path) <= CAP + 16 * PAGE
        assert box.apply(changes, 1.0).acked == 1
        assert numbers_in(path) == [seq]
        assert bytes_of(path) <= CAP / 2
