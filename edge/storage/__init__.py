"""Data that outlive a power cut: outbox, history, evidence, labels, the current recipes, and the
journals of changes, parts and items."""

from edge.storage.current_recipes import CurrentRecipes
from edge.storage.evidence import (
    ArchiveCounts,
    Evidence,
    EvidenceFrame,
    EvidenceReader,
    EvidenceRecord,
    RecordSource,
    Why,
)
from edge.storage.history.reader import HistoryReader
from edge.storage.history.records import (
    HistoryError,
    HistoryQuery,
    HistoryRow,
    HistorySettings,
    HistoryStats,
    TrendPoint,
    history_path,
)
from edge.storage.history.writer import HistoryWriter
from edge.storage.journal import (
    ChainReport,
    Change,
    Journal,
    JournalEntry,
    read_journal,
    verify_journal,
)
from edge.storage.labels import Label, LabelAction, Labels, label_problem
from edge.storage.outbox.ownership import require_ours
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxRow, OutboxStats
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.send_queue import SendQueue
from edge.storage.outbox.sequence import outbox_in_use
from edge.storage.outbox.sqlite import OutboxError
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.writer import OnCommit, OutboxWriter, Remember
from edge.storage.part_journal import PartJournal
from edge.storage.processed_items import ProcessedItems
from edge.storage.trigger_numbers import TriggerNumbers

__all__ = [
    "ArchiveCounts",
    "ChainReport",
    "Change",
    "CurrentRecipes",
    "Evidence",
    "EvidenceFrame",
    "EvidenceReader",
    "EvidenceRecord",
    "HistoryError",
    "HistoryQuery",
    "HistoryReader",
    "HistoryRow",
    "HistorySettings",
    "HistoryStats",
    "HistoryWriter",
    "Journal",
    "JournalEntry",
    "Label",
    "LabelAction",
    "Labels",
    "OnCommit",
    "OutboxError",
    "OutboxReader",
    "OutboxRow",
    "OutboxStats",
    "OutboxStore",
    "OutboxWriter",
    "PartJournal",
    "ProcessedItems",
    "RebuildHooks",
    "RecordSource",
    "Remember",
    "SendQueue",
    "TrendPoint",
    "TriggerNumbers",
    "Why",
    "history_path",
    "label_problem",
    "outbox_in_use",
    "read_journal",
    "require_ours",
    "verify_journal",
]
