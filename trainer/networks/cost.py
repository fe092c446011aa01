"""What a network costs: parameters, and multiply-adds a picture."""

from typing import Any

import numpy as np


def multiply_adds(model: Any) -> int:
    """Multiplications with additions for one picture, of convolutions and dense layers.

    What else there is (normalisation, which conversion folds into them, and pooling) is little.
    """
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in ("Conv2D", "DepthwiseConv2D", "Dense"):
            continue
        kernel = np.prod(layer.kernel.shape)
        places = 1 if kind == "Dense" else np.prod(layer.output.shape[1:3])
        total += int(kernel * places)
    return total
