"""Is the data what it seems? Copies, leaks, doubtful labels and giveaways, before any training."""

from trainer.audit.examine import AuditOptions, audit_dataset, audit_items
from trainer.audit.findings import Audit
from trainer.audit.text_report import audit_text
from trainer.audit.training_check import audit_training

__all__ = [
    "Audit",
    "AuditOptions",
    "audit_dataset",
    "audit_items",
    "audit_text",
    "audit_training",
]
