"""Evidence: the pictures of chosen verdicts, each with a record of how it was judged."""

from edge.storage.evidence.archive import ArchiveCounts, ProtectedRecords
from edge.storage.evidence.evidence import Evidence
from edge.storage.evidence.reader import EvidenceReader, RecordSource
from edge.storage.evidence.record import EvidenceFrame, EvidenceRecord, Why

__all__ = [
    "ArchiveCounts",
    "Evidence",
    "EvidenceFrame",
    "EvidenceReader",
    "EvidenceRecord",
    "ProtectedRecords",
    "RecordSource",
    "Why",
]
