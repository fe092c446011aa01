"""Model versions on the box: signatures, slots, and the active version of each name."""

from edge.models.candidate import Candidate
from edge.models.configured import configs_judging_by, model_path, open_store, read_model
from edge.models.probation import Difference, Probation
from edge.models.records import NameRecord, ProbationRecord, ShadowRecord, Version, WaitingRecord
from edge.models.signature import PublicKey, Signed, read_public_key, verify
from edge.models.store import ModelStore, Switch

__all__ = [
    "Candidate",
    "Difference",
    "ModelStore",
    "NameRecord",
    "Probation",
    "ProbationRecord",
    "PublicKey",
    "ShadowRecord",
    "Signed",
    "Switch",
    "Version",
    "WaitingRecord",
    "configs_judging_by",
    "model_path",
    "open_store",
    "read_model",
    "read_public_key",
    "verify",
]
