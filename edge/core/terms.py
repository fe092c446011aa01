"""Words with a fixed set of values that both config.yaml and the model file use."""

from typing import Literal

OutputKind = Literal["logits", "probabilities"]
Runtime = Literal["auto", "litert", "tflite-runtime"]
# Which code computes the operators: the runtime's quickest, or TFLite's own, which rounds alike in
# every runtime.
Kernels = Literal["quickest", "built-in"]
# How a JPEG becomes pixels: whole, or at the part of its size that the model needs.
Decoding = Literal["whole", "reduced"]
TriggerKind = Literal["continuous", "interval", "request", "gpio", "presence", "folder"]
RuleName = Literal["single", "mean", "worst", "k_of_n"]
LogLevel = Literal["debug", "info", "warning", "error"]
Durability = Literal["strict", "balanced"]
