"""Judges one picture. No thread, socket, clock or database.

The box, the trainer and the converter share it, so that all three compute the same.
"""

from edge.inspection.check_pictures import (
    CheckPicture,
    check_with_pictures,
    find_check_pictures,
    refuse_wrong_verdicts,
)
from edge.inspection.decision import (
    Judgement,
    Thresholds,
    combine,
    decide,
    to_probabilities,
    with_hysteresis,
)
from edge.inspection.decoding import jpeg_decoding, model_input
from edge.inspection.inspector import Inspector, Overrides, load_inspector
from edge.inspection.interpreter import TFLiteClassifier, runtime_module
from edge.inspection.model_file import (
    GOLDEN,
    GoldenPicture,
    InspectionSpec,
    ModelFile,
    OutputSpec,
    load_model_file,
    pack_model_file,
    parse_model_file,
    schema_of,
)
from edge.inspection.pixel_scaling import SCALINGS, PixelScaling, ScalingError
from edge.inspection.preprocessing import (
    DecodingRule,
    InputSpec,
    apply_view,
    preprocess,
    to_model_input,
)
from edge.inspection.view_crop import ViewCrop

__all__ = [
    "GOLDEN",
    "SCALINGS",
    "CheckPicture",
    "DecodingRule",
    "GoldenPicture",
    "InputSpec",
    "InspectionSpec",
    "Inspector",
    "Judgement",
    "ModelFile",
    "OutputSpec",
    "Overrides",
    "PixelScaling",
    "ScalingError",
    "TFLiteClassifier",
    "Thresholds",
    "ViewCrop",
    "apply_view",
    "check_with_pictures",
    "combine",
    "decide",
    "find_check_pictures",
    "jpeg_decoding",
    "load_inspector",
    "load_model_file",
    "model_input",
    "pack_model_file",
    "parse_model_file",
    "preprocess",
    "refuse_wrong_verdicts",
    "runtime_module",
    "schema_of",
    "to_model_input",
    "to_probabilities",
    "with_hysteresis",
]
