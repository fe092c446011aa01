"""Compares a converted model with its float model: scores, verdicts, layers, golden pictures."""

from converter.evaluation.evaluation_set import EvaluationSet, load_evaluation_set
from converter.evaluation.golden_images import GoldenFile, choose_golden, golden_files
from converter.evaluation.layer_errors import LayerDeviation
from converter.evaluation.model_diff import ModelDiff, diff_models
from converter.evaluation.score_diff import ScoreDiff, compare_scores, is_flip

__all__ = [
    "EvaluationSet",
    "GoldenFile",
    "LayerDeviation",
    "ModelDiff",
    "ScoreDiff",
    "choose_golden",
    "compare_scores",
    "diff_models",
    "golden_files",
    "is_flip",
    "load_evaluation_set",
]
