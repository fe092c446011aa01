"""Breakages of edge/inspection, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

INSPECTION = [
    Breakage(
        "a score at reject_at no longer fails",
        Edit(
            "edge.inspection.decision:decide",
            "score >= at.reject_at",
            "score > at.reject_at",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a score at review_from passes",
        Edit(
            "edge.inspection.decision:decide",
            "score >= at.review_from",
            "score > at.review_from",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a wrong scaling fills an integer input",
        Edit(
            "edge.inspection.pixel_scaling:InputTensor._check_range",
            "fits or not good",
            "False",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "score is P(ok)",
        Edit(
            "edge.inspection.decision:judge",
            "1.0 - by_label[ok_label]",
            "by_label[ok_label]",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a score of NaN passes",
        Edit(
            "edge.inspection.decision:judge",
            "not math.isnan(score)",
            "True",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a JPEG is decoded smaller than the model's input",
        Edit(
            "edge.inspection.decoding:_multiple",
            "min(sides) * crop.least_scale(width, height) if sides else 0.0",
            "99.0",
        ),
        "tests/edge/inspection/test_decoding.py",
    ),
    Breakage(
        "a reduced picture is cut at another place",
        Edit(
            "edge.inspection.view_crop:_slices",
            "(number / reduced for number in box)",
            "box",
        ),
        "tests/edge/inspection/test_decoding.py",
    ),
    Breakage(
        "golden pictures are decoded whole, though the model reduces",
        Edit(
            "edge.inspection.inspector:Inspector.check_golden",
            "model_input(encoded, spec, pinned=True)",
            "model_input(encoded, spec.replace(decoding=None), pinned=True)",
        ),
        "tests/edge/inspection/test_decoding.py",
    ),
    Breakage(
        "hysteresis raises the thresholds",
        Edit(
            "edge.inspection.decision:with_hysteresis",
            "at.review_from - by",
            "at.review_from + by",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "colours stay BGR",
        Edit(
            "edge.inspection.preprocessing:to_model_input",
            "cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)",
            "resized",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "resize without averaging",
        Edit(
            "edge.inspection.preprocessing:_resize",
            "cv2.INTER_AREA",
            "cv2.INTER_NEAREST",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "resize by interpolation",
        Edit(
            "edge.inspection.preprocessing:_resize",
            "cv2.INTER_AREA",
            "cv2.INTER_LINEAR",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "golden pictures are not compared",
        Edit(
            "edge.inspection.inspector:Inspector.check_golden",
            "abs(score - picture.score) > GOLDEN_TOLERANCE",
            "False",
        ),
        "tests/edge/inspection",
    ),
    Breakage(
        "a picture cropped to the camera's view is cropped again",
        Edit(
            "edge.inspection.inspector:Inspector.prepare",
            "to_model_input(pixels, self.input)",
            "preprocess(pixels, self.input)",
        ),
        "tests/edge/inspection/test_model_view.py",
    ),
    Breakage(
        "golden pictures are not cropped",
        Edit(
            "edge.inspection.inspector:Inspector.check_golden",
            "model_input(encoded, spec, pinned=True)",
            "model_input(encoded, spec.replace(view=None), pinned=True)",
        ),
        "tests/edge/inspection/test_model_view.py",
    ),
    Breakage(
        "a threshold above 1 is kept",
        Edit(
            "edge.inspection.decision:Thresholds",
            "reject_at: Annotated[float, Field(ge=0, le=1)]",
            "reject_at: float",
        ),
        "tests/edge/inspection/test_decision.py",
    ),
]
