"""Breakages of edge/storage, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

STORAGE = [
    Breakage(
        "seq skips a number",
        Edit(
            "edge.storage.outbox.store:OutboxStore._first_number",
            "return behind + 1",
            "return behind + 2",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "seq is used again after its row has gone",
        Edit(
            "edge.storage.outbox.database:OutboxDatabase._set_up",
            "'SELECT last, rows FROM state'",
            "'SELECT coalesce(max(seq), 0), count(*) FROM outbox'",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "processed items are not stored",
        Edit(
            "edge.storage.outbox.database:OutboxDatabase.apply",
            "db.executemany('INSERT OR IGNORE INTO judged VALUES (?, ?)', receipts)",
            "",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "verdicts that the disk refused are dropped",
        Edit(
            "edge.storage.outbox.writer:OutboxWriter._degrade",
            "self._show_unstored([one.row for one in self._queue.held.first()])",
            "",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "two bytes of SQLite's header pass for a disk that refuses",
        Edit(
            "edge.storage.outbox.sqlite:kind_of",
            "'damaged' if 'readonly' in text and _says_not_to_write(path) else 'refused'",
            "'refused'",
        ),
        "tests/edge/storage/test_store.py",
    ),
    Breakage(
        "a new outbox has no record of its numbers",
        Edit(
            "edge.storage.outbox.store:OutboxStore.__init__",
            "self.numbers.begin()",
            "pass",
        ),
        "tests/edge/storage/test_full_disk_at_start.py",
    ),
    Breakage(
        "a log that cannot be written back grows past the cap",
        Edit(
            "edge.storage.outbox.database:OutboxDatabase.apply",
            "self._write_back_log()",
            "pass",
        ),
        "tests/edge/storage/test_cap.py",
    ),
    Breakage(
        "a verdict that cannot be written uses a number",
        Edit(
            "edge.storage.outbox.writer:OutboxWriter._next_row",
            "number, operating_time = self._next, self._store.operating_time()",
            "number, operating_time = self._next, self._store.operating_time()\nself._next += 1",
        ),
        "tests/edge/storage/test_exceptions.py",
    ),
    Breakage(
        "another program's database is set aside",
        Edit(
            "edge.storage.outbox.ownership:require_ours",
            "_foreign(path, outbox or path)",
            "''",
        ),
        "tests/edge/storage/test_ownership.py",
    ),
    Breakage(
        "a half-written label stays in the file",
        Edit("edge.storage.labels:Labels._append", "os.ftruncate(file, size)", "None"),
        "tests/edge/storage/test_labels.py",
    ),
    Breakage(
        "a wrong date deletes the history",
        Edit(
            "edge.storage.history.writer:HistoryWriter._trusted_now",
            "now if tick - self._steady_from >= _STEADY_S else None",
            "now",
        ),
        "tests/edge/storage/history/test_writer.py",
    ),
    Breakage(
        "verdicts after a new outbox overwrite the order of the history",
        Edit(
            "edge.storage.history.database:HistoryDatabase.add",
            "self._base = self._highest",
            "self._base = self._base",
        ),
        "tests/edge/storage/history/test_database.py",
    ),
    Breakage(
        "the archive writes and deletes through links",
        Edit(
            "edge.storage.evidence.files:listed",
            "name is not None and entry.is_file(follow_symlinks=False)",
            "name is not None",
        ),
        "tests/edge/storage/evidence/test_ownership.py",
    ),
    Breakage(
        "a kept picture has its name before its record has",
        Edit(
            "edge.storage.evidence.files:write_evidence",
            "files = [record, *reversed(pictures)]",
            "files = [*reversed(pictures), record]",
        ),
        "tests/edge/storage/evidence/test_kills.py",
    ),
    Breakage(
        "labelled pictures go as any other",
        Edit(
            "edge.storage.evidence.index:EvidenceIndex._may_go",
            "stem != self._newest and not self._is_protected(verdict_id)",
            "stem != self._newest",
        ),
        "tests/edge/storage/evidence/test_limits.py",
    ),
    Breakage(
        "a receipt in memory is not asked",
        Edit(
            "edge.storage.processed_items:ProcessedItems.judged",
            "self._in_memory(camera, receipt)",
            "False",
        ),
        "tests/edge/storage/test_processed_items.py",
    ),
]
