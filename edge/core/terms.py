"""Types with a fixed set of values, shared by config.yaml and the model file."""

from typing import Literal

OutputKind = Literal["logits", "probabilities"]
Runtime = Literal["auto", "litert", "tflite-runtime"]
# The code of the operators: the runtime's quickest, or TFLite's own, which rounds the same
# in every runtime.
Kernels = Literal["quickest", "built-in"]
# The scale at which a JPEG is decoded: whole, or as small as the model allows.
Decoding = Literal["whole", "reduced"]
TriggerKind = Literal["continuous", "interval", "request", "gpio", "presence", "folder"]
RuleName = Literal["single", "mean", "worst", "k_of_n"]
LogLevel = Literal["debug", "info", "warning", "error"]
Durability = Literal["strict", "balanced"]
