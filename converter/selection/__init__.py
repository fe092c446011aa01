"""Tries every scheme and chooses the first that passes the gates."""

from converter.selection.decode_parity import DecodeParity, ParityModel, measure_parity
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
    "DecodeParity",
    "GateLimits",
    "ParityModel",
    "SchemeSelection",
    "SchemeSelector",
    "SchemeTrial",
    "TrialFigures",
    "check_calibration",
    "measure_parity",
    "refusal",
    "refuse_slow",
    "refuse_unlearned",
]
