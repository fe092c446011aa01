"""The baseline: a plain CNN with which reports compare other networks."""

from typing import Any

from edge.inspection import InputSpec
from trainer.core import keras
from trainer.networks.terms import HEAD

INPUT = InputSpec(width=64, height=64)


def baseline(input_spec: InputSpec, classes: int) -> Any:
    """A CNN on raw RGB pixels, 0 to 255, that ends in a softmax over `classes`."""
    library = keras()
    layers = library.layers
    return library.Sequential(
        [
            library.Input(input_spec.shape, name="picture"),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense"),
            layers.Dense(classes, activation="softmax", name=HEAD),
        ],
        name="baseline",
    )
