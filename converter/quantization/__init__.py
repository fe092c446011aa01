"""Converts a frozen graph to a .tflite with each quantization scheme."""

from converter.quantization.calibration import (
    CALIBRATION_PICTURES,
    CalibrationSet,
    choose_calibration,
)
from converter.quantization.head_refit import FloatLogits, refit_head
from converter.quantization.quantization_schemes import (
    FLOAT_HEAD,
    SCHEMES,
    BuiltModel,
    build_model,
    head_of,
)

__all__ = [
    "CALIBRATION_PICTURES",
    "FLOAT_HEAD",
    "SCHEMES",
    "BuiltModel",
    "CalibrationSet",
    "FloatLogits",
    "build_model",
    "choose_calibration",
    "head_of",
    "refit_head",
]
