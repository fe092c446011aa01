"""Checks a model file of any format and loads it as one frozen graph."""

from converter.loading.frozen_graph import SINGLE_OUTPUT_HEAD, DenseHead, FrozenGraph
from converter.loading.input_scaling import scale_pixels
from converter.loading.source_model import SourceModel, SourceOverrides, load_source_model
from converter.loading.tf_logging import silence_tensorflow

__all__ = [
    "SINGLE_OUTPUT_HEAD",
    "DenseHead",
    "FrozenGraph",
    "SourceModel",
    "SourceOverrides",
    "load_source_model",
    "scale_pixels",
    "silence_tensorflow",
]
