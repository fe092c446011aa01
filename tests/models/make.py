"""Makes the models here: `python -m tests.models.make`. Only this script needs TensorFlow.

The weights are set by hand: the score is the logistic function of 6 × (mean red ÷ 255 − 0.5) and
of nothing else. So a test sees at once when red and blue are swapped, when another resize method
takes other pixels, or when a threshold is compared the wrong way round.

The plain models have the same weights behind each scaling of the pixels and each type of input.
"""

import math
import sys
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edge.core.terms import Scaling
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import GoldenPicture, InspectionSpec, OutputSpec, pack_model_file
from edge.inspection.pixel_scaling import COLOUR, SCALINGS
from edge.inspection.preprocessing import InputSpec

HERE = Path(__file__).parent
SIDE = 16
GAIN = 6.0
LABELS = ("ok", "red")
REJECT_AT, REVIEW_FROM = 0.6, 0.4
GOLDEN_REDS = (0, 120, 255)
TYPES = ("float32", "uint8", "int8", "int16")
PLAIN: tuple[tuple[str, Scaling, int], ...] = (
    *((kind, scaling, 3) for kind in TYPES for scaling in SCALINGS),
    *((kind, "signed", 1) for kind in TYPES),
)


def redness(red: float) -> float:
    """The score that a picture of mean red `red` (0 to 255) has by definition."""
    return 1 / (1 + math.exp(-GAIN * (red / 255 - 0.5)))


def plain_name(kind: str, scaling: Scaling, channels: int = 3) -> str:
    """The file of the plain model with this input; it sees the mean of red, or of grey."""
    return f"plain-{kind}-{scaling}{'' if channels == COLOUR else '-grey'}.tflite"


def main(folder: Path = HERE) -> int:
    """Writes redness.tflite (packed, logits) and the plain models (probabilities)."""
    folder.joinpath("plain.tflite").write_bytes(_convert(_network("probabilities")))
    spec = InspectionSpec(
        name="redness",
        version="1",
        input=InputSpec(width=SIDE, height=SIDE),
        output=OutputSpec(kind="logits"),
        thresholds=Thresholds(
            reject_at=REJECT_AT, review_from=REVIEW_FROM, chosen="by hand, for the tests"
        ),
        golden=tuple(
            GoldenPicture(
                file=f"golden/red-{red}.png",
                label=LABELS[redness(red) >= REJECT_AT],
                score=round(redness(red), 6),
            )
            for red in GOLDEN_REDS
        ),
    )
    golden = {f"golden/red-{red}.png": _golden_png(red) for red in GOLDEN_REDS}
    packed = pack_model_file(_convert(_network("logits")), LABELS, spec, golden)
    folder.joinpath("redness.tflite").write_bytes(packed)
    for kind, scaling, channels in PLAIN:
        network = _network("probabilities", scaling, channels)
        model = _convert(network, kind, scaling, channels)
        folder.joinpath(plain_name(kind, scaling, channels)).write_bytes(model)
    return 0


def _golden_png(red: int) -> bytes:
    pixels = np.full((SIDE, SIDE, 3), (90, 60, red), np.uint8)  # BGR
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def _network(
    output: Literal["logits", "probabilities"], scaling: Scaling = "inside", channels: int = 3
) -> Any:
    import keras

    picture = keras.Input((SIDE, SIDE, channels), batch_size=1)
    mean = keras.layers.GlobalAveragePooling2D()(picture)
    row = keras.layers.Dense(2, activation="softmax" if output == "probabilities" else None)
    model = keras.Model(picture, row(mean))
    half = GAIN / 2
    rule = SCALINGS[scaling]
    red = 2 if rule.bgr else 0
    at = red if len(rule.factor) > 1 else 0
    factor, offset = rule.factor[at], rule.offset[at]
    weights = np.zeros((channels, 2), np.float32)
    weights[red] = -half / 255 / factor, half / 255 / factor
    bias = half / 2 + half / 255 * offset / factor
    row.set_weights([weights, np.array([bias, -bias], np.float32)])
    return model


def _convert(
    model: Any, kind: str = "uint8", scaling: Scaling = "inside", channels: int = 3
) -> bytes:
    import tensorflow as tf

    def pictures() -> Any:
        rule = SCALINGS[scaling]
        for value in range(0, 256, 5):
            pixels = np.full((1, SIDE, SIDE, channels), value, np.float64)
            scaled = pixels * np.array(rule.factor) + np.array(rule.offset)
            yield [scaled.astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind == "float32":
        return bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    chosen = wide if kind == "int16" else sets.TFLITE_BUILTINS_INT8
    converter.target_spec.supported_ops = [chosen]
    converter.inference_input_type = getattr(tf, kind)
    converter.inference_output_type = tf.float32
    return bytes(converter.convert())


if __name__ == "__main__":
    sys.exit(main())
