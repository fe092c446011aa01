"""EfficientNet-Lite0 up to a block, with a head on early and late features.

Early blocks show small defects, which later blocks average away. So the head pools both, by mean
and by maximum.
"""

from typing import Any

from edge.inspection import InputSpec
from trainer.core import keras
from trainer.networks.lite0 import BLOCKS, lite0_maps, load_lite0
from trainer.networks.terms import HEAD

# At 128 pixels it is twice as fast. Its AUROC, cross-validated on training pictures with frozen
# weights, is then 0.02 to 0.03 lower where defects are small.
INPUT = InputSpec(width=192, height=192)
LAST_BLOCK = 10  # later blocks see half the picture and are specific to ImageNet's objects
TAPPED_BLOCKS = (2, 4, 7, 10)


def pretrained(input_spec: InputSpec, classes: int) -> Any:
    """A model of raw RGB pixels, 0 to 255, with ImageNet weights and a new softmax.

    Raises MissingPartError without the package of the weights, ModelError when it is damaged.
    """
    model = untrained_lite0(input_spec, classes)
    load_lite0(model)
    return model


def untrained_lite0(
    input_spec: InputSpec,
    classes: int,
    last: int = LAST_BLOCK,
    tapped: tuple[int, ...] = TAPPED_BLOCKS,
    name: str = "pretrained",
) -> Any:
    """The model with random weights, cut after block `last`; 16 is the whole network."""
    library = keras()
    layers = library.layers
    picture = library.Input(input_spec.shape, name="picture")
    maps = lite0_maps(picture, min(last, len(BLOCKS)))
    pooled = []
    for number in tapped:
        pooled.append(layers.GlobalAveragePooling2D(name=f"mean{number}")(maps[number]))
        pooled.append(layers.GlobalMaxPooling2D(name=f"max{number}")(maps[number]))
    features = layers.Concatenate(name="features")(pooled)
    output = layers.Dense(classes, activation="softmax", name=HEAD)(features)
    return library.Model(picture, output, name=name)
