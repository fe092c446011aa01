"""Features of different ranges keep their own scale, so small features stay precise in int8."""

from typing import Any

import numpy as np
import pytest

from converter.evaluation.box_scores import ScoreRule
from converter.loading.frozen_graph import freeze
from converter.quantization.quantization_schemes import FLOAT_HEAD, build_model
from converter.tflite.runtimes import find_runners
from converter.tflite.tflite_graph import operators
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import OutputSpec
from edge.inspection.preprocessing import InputSpec
from trainer.networks.trained_model import TrainedSpec, probabilities

pytestmark = [pytest.mark.train, pytest.mark.inference]
SIDE = 16


def _model(k: Any) -> Any:
    """Only the mean brightness decides; the other feature is a thousand times larger."""
    pixels = k.Input((SIDE, SIDE, 1))
    scaled = k.layers.Rescaling(1 / 255)(pixels)
    small = k.layers.Conv2D(1, 1, kernel_initializer="ones", name="small")(scaled)
    large = k.layers.Conv2D(1, 1, name="large")(scaled)
    pooled = [
        k.layers.GlobalAveragePooling2D()(small),
        k.layers.GlobalMaxPooling2D()(large),
    ]
    features = k.layers.Concatenate()(pooled)
    model = k.Model(pixels, k.layers.Dense(2, activation="softmax")(features))
    model.get_layer("large").set_weights([np.full((1, 1, 1, 1), 1000.0), np.zeros(1)])
    kernel = np.array([[-6.0, 6.0], [0.0, 0.0]])
    model.layers[-1].set_weights([kernel, np.array([3.0, -3.0])])
    return model


def test_a_small_feature_beside_a_large_one_keeps_its_steps(tensorflow: Any) -> None:
    """int8 scores follow the float scores next to a feature a thousand times larger. Only the
    concatenation and the head are float."""
    model = _model(tensorflow.keras)
    frozen = freeze(model, (SIDE, SIDE, 1), frozenset(), "model")
    assert len(frozen.features) == 2
    spec = TrainedSpec(
        name="fusion",
        version="1",
        labels=("ok", "bright"),
        input=InputSpec(width=SIDE, height=SIDE, channels=1, colour="grey"),
        output=OutputSpec(kind="probabilities"),
        thresholds=Thresholds(reject_at=0.5, review_from=0.5),
    )
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 200, (40, SIDE, SIDE, 1)).astype(np.uint8)
    pictures = (pictures * np.linspace(0.2, 1, 40)[:, None, None, None]).astype(np.uint8)
    built_model = build_model(FLOAT_HEAD, frozen, pictures, "model")
    found = [(op.name, op.is_float) for op in operators(built_model.tflite)]
    assert found[-2:] == [("CONCATENATION", True), ("FULLY_CONNECTED", True)]
    assert "CONCATENATION" not in [name for name, is_float in found if not is_float]
    score_rule = ScoreRule(spec.labels, "ok", OutputSpec(kind="logits"))
    rows, _ = find_runners(older=False)[0].rows(built_model.tflite, pictures, "model")
    expected = 1 - probabilities(model, spec, pictures)[:, 0]
    assert np.abs(score_rule.from_rows(rows) - expected).max() < 0.02
    assert expected.max() - expected.min() > 0.2
