"""Checks a data set before training: copies, leaks, doubtful labels and shortcut features."""

from trainer.audit.examine import AuditOptions, audit_dataset, audit_items, merged_items
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
    "merged_items",
]
