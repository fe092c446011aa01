"""The first half of EfficientNet-Lite0 on few pixels: ImageNet's features at the plain CNN's cost.

What blocks 0 to 7 know suits parts that few pictures show; the later blocks, and more pixels, make
`pretrained` better still and an order of magnitude slower.
"""

from typing import Any

from edge.inspection import InputSpec
from trainer.networks.lite0 import load_lite0
from trainer.networks.pretrained import untrained_lite0

# Blocks 0 to 2 are two thirds of the time, and their time grows with the pixels. At 96 pixels
# it takes 2.2 times as long.
INPUT = InputSpec(width=64, height=64)
LAST = 7
TAPPED = (2, 4, 7)


def pretrained_small(input_spec: InputSpec, classes: int) -> Any:
    """Raw RGB or grey pixels, 0 to 255; ImageNet weights; ends in a new softmax over `classes`.

    At 64×64 and two classes it has 263 k parameters and 13 M multiply-adds. Raises
    MissingPartError without the package of the weights, ModelError when it is damaged.
    """
    model = untrained_small(input_spec, classes)
    load_lite0(model)
    return model


def untrained_small(input_spec: InputSpec, classes: int) -> Any:
    """The same with random weights."""
    return untrained_lite0(input_spec, classes, LAST, TAPPED, name="pretrained-small")
