"""Makes the models here: `python -m tests.models.make`. Only this script needs TensorFlow.

The weights are set by hand: the score is the logistic function of 6 × (mean red ÷ 255 − 0.5) and
of nothing else. So a test sees at once when red and blue are swapped, when another resize method
takes other pixels, or when a threshold is compared the wrong way round.
"""

import math
import sys
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edge.inspection.decision import Thresholds
from edge.inspection.model_file import GoldenPicture, InspectionSpec, OutputSpec, pack_model_file
from edge.inspection.preprocessing import InputSpec

HERE = Path(__file__).parent
SIDE = 16
GAIN = 6.0
LABELS = ("ok", "red")
REJECT_AT, REVIEW_FROM = 0.6, 0.4
GOLDEN_REDS = (0, 120, 255)


def redness(red: float) -> float:
    """The score that a picture of mean red `red` (0 to 255) has by definition."""
    return 1 / (1 + math.exp(-GAIN * (red / 255 - 0.5)))


def main(folder: Path = HERE) -> int:
    """Writes redness.tflite (packed, logits) and plain.tflite (no appendix, probabilities)."""
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
    return 0


def _golden_png(red: int) -> bytes:
    pixels = np.full((SIDE, SIDE, 3), (90, 60, red), np.uint8)  # BGR
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def _network(output: Literal["logits", "probabilities"]) -> Any:
    import keras

    picture = keras.Input((SIDE, SIDE, 3), batch_size=1)
    mean = keras.layers.GlobalAveragePooling2D()(picture)
    row = keras.layers.Dense(2, activation="softmax" if output == "probabilities" else None)
    model = keras.Model(picture, row(mean))
    half = GAIN / 2
    weights = np.zeros((3, 2), np.float32)
    weights[0] = -half / 255, half / 255  # the channels are red, green, blue
    row.set_weights([weights, np.array([half / 2, -half / 2], np.float32)])
    return model


def _convert(model: Any) -> bytes:
    import tensorflow as tf

    def pictures() -> Any:
        for value in range(0, 256, 5):
            yield [np.full((1, SIDE, SIDE, 3), value, np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.float32
    return bytes(converter.convert())


if __name__ == "__main__":
    sys.exit(main())
