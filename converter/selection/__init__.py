"""Tries every scheme and chooses the first that passes the gates."""

from converter.selection.latency_gate import refuse_slow
from converter.selection.quality_gate import (
    GateLimits,
    check_calibration,
    refusal,
    refuse_unlearned,
)
from converter.selection.scheme_selection import SchemeSelection, SchemeSelector
from converter.selection.scheme_trial import SchemeTrial, TrialFigures

__all__ = [
    "GateLimits",
    "SchemeSelection",
    "SchemeSelector",
    "SchemeTrial",
    "TrialFigures",
    "check_calibration",
    "refusal",
    "refuse_slow",
    "refuse_unlearned",
]
