"""The first half of EfficientNet-Lite0 on few pixels: ImageNet's features at the baseline's cost.

The features of blocks 0 to 7 suit data sets with few pictures. Later blocks and more pixels make
`pretrained` better, and an order of magnitude slower.
"""

from typing import Any

from edge.inspection import InputSpec
from trainer.networks.lite0 import load_lite0
from trainer.networks.pretrained import untrained_lite0

# Blocks 0 to 2 take two thirds of the time, in proportion to the pixels. At 96 pixels the network
# takes 2.2 times as long.
INPUT = InputSpec(width=64, height=64)
LAST_BLOCK = 7
TAPPED_BLOCKS = (2, 4, 7)


def pretrained_small(input_spec: InputSpec, classes: int) -> Any:
    """A model of raw RGB or grey pixels, 0 to 255, with ImageNet weights and a new softmax.

    At 64×64 and two classes it has 263 k parameters and 13 M multiply-adds. Raises
    MissingPartError without the package of the weights, ModelError when it is damaged.
    """
    model = untrained_small(input_spec, classes)
    load_lite0(model)
    return model


def untrained_small(input_spec: InputSpec, classes: int) -> Any:
    """The model with random weights."""
    return untrained_lite0(input_spec, classes, LAST_BLOCK, TAPPED_BLOCKS, name="pretrained-small")
