"""Counts the multiply-adds of a network."""

from typing import Any

import numpy as np


def multiply_adds(model: Any) -> int:
    """The multiply-adds of one picture in convolutions and dense layers.

    Other layers add little: conversion folds normalisation, and pooling is cheap.
    """
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in ("Conv2D", "DepthwiseConv2D", "Dense"):
            continue
        kernel = np.prod(layer.kernel.shape)
        positions = 1 if kind == "Dense" else np.prod(layer.output.shape[1:3])
        total += int(kernel * positions)
    return total
