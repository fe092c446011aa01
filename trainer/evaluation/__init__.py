"""Evaluates a trained model: rates, intervals, calibration, thresholds, claims."""

from trainer.evaluation.claims import check_demonstrable
from trainer.evaluation.curves import auroc
from trainer.evaluation.finalize import evaluation_file
from trainer.evaluation.intervals import auroc_interval
from trainer.evaluation.measure import evaluate_model_file
from trainer.evaluation.metrics import Evaluation, evaluate
from trainer.evaluation.rates import Rate
from trainer.evaluation.requirements import Requirements
from trainer.evaluation.thresholds import NOTHING_PASSES, thresholds_for

__all__ = [
    "NOTHING_PASSES",
    "Evaluation",
    "Rate",
    "Requirements",
    "auroc",
    "auroc_interval",
    "check_demonstrable",
    "evaluate",
    "evaluate_model_file",
    "evaluation_file",
    "thresholds_for",
]
