"""The networks that can be trained, by name. Each takes raw pixels, 0 to 255: scaling is inside."""

from collections.abc import Callable
from typing import Any

from edge.errors import EdgeInspectError
from edge.inspection.preprocess import InputSpec
from trainer.extra import keras

HEAD = "head"  # the layer whose softmax gives the probabilities; the converter looks for it


def baseline(input_spec: InputSpec, classes: int) -> Any:
    """The plain CNN that everything else is compared with. Ends in a softmax over `classes`."""
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


# Name: the input it takes, and what builds it from that input and the number of classes.
NETWORKS: dict[str, tuple[InputSpec, Callable[[InputSpec, int], Any]]] = {
    "baseline": (InputSpec(width=64, height=64), baseline),
}


def input_of(name: str) -> InputSpec:
    """What the network takes. Raises EdgeInspectError for a name that does not exist."""
    return _entry(name)[0]


def build_network(name: str, classes: int) -> Any:
    """A new, compiled Keras model with softmax outputs. Raises EdgeInspectError."""
    spec, builder = _entry(name)
    model = builder(spec, classes)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _entry(name: str) -> tuple[InputSpec, Callable[[InputSpec, int], Any]]:
    try:
        return NETWORKS[name]
    except KeyError:
        raise EdgeInspectError(
            f"--network {name}: no such network; choose one of {', '.join(NETWORKS)}"
        ) from None
