"""Makes the models of Keras 2 here: `python -m tests.models.make_keras2`. Needs `tf_keras`.

They are the network of tests/models/make.py behind a depthwise convolution that changes nothing:
Keras 3 cannot load such a layer of Keras 2. One of them computes in mixed precision.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.make import GAIN, HERE, SIDE

FILES = ("keras2.h5", "keras2.keras", "keras2-mixed.h5", "keras2-mixed.keras")


def main(folder: Path = HERE) -> int:
    """Writes all files."""
    for name in FILES:
        _network("mixed_float16" if "mixed" in name else "float32").save(folder / name)
    return 0


def _network(policy: str) -> Any:
    from trainer.core import optional_import, tensorflow

    tensorflow()
    keras = optional_import("tf_keras")
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE, 3))
    scaled = layers.Rescaling(1 / 255, dtype=policy)(picture)
    same = layers.DepthwiseConv2D(1, dtype=policy, depthwise_initializer="ones")(scaled)
    mean = layers.GlobalAveragePooling2D(dtype=policy)(same)
    row = layers.Dense(2, activation="softmax", dtype="float32")
    model = keras.Model(picture, row(mean))
    half = GAIN / 2
    weights = np.zeros((3, 2), np.float32)
    weights[0] = -half, half
    row.set_weights([weights, np.array([half / 2, -half / 2], np.float32)])
    return model


if __name__ == "__main__":
    sys.exit(main())
