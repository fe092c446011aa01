"""Types that several packages share: words with a fixed set of values, and pixels."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (height, width, channels)

OutputKind = Literal["logits", "probabilities"]
Runtime = Literal["auto", "litert", "tflite-runtime"]
# The code of the operators: the runtime's quickest, or TFLite's own, which rounds the same
# in every runtime.
Kernels = Literal["quickest", "built-in"]
# The range of the pixel values that a network was trained with; the words of edge-convert.
Scaling = Literal["inside", "0-1", "signed", "caffe", "torch"]
# The scale at which a JPEG is decoded: whole, or as small as the model allows.
Decoding = Literal["whole", "reduced"]
TriggerKind = Literal["continuous", "interval", "request", "gpio", "presence", "folder"]
RuleName = Literal["single", "mean", "worst", "k_of_n"]
LogLevel = Literal["debug", "info", "warning", "error"]
Durability = Literal["strict", "balanced"]
# Begins the names of the groups that `edge-inspect export` writes. Such a name means the same part
# in every data set, so the trainer keeps it on one side of the split.
EXPORTED_GROUP = "edge-inspect:"
