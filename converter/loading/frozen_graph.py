"""A classifier as one frozen TensorFlow graph, whatever it came from, and where it is cut.

Keras models, nested or not, and SavedModels look alike once they are frozen: so the softmax, the
last dense layer and the features in front of it are found in the graph, not among layers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converter.loading.tf_logging import silence_tensorflow
from edge.core.errors import ModelError
from trainer.core import optional_import, tensorflow

Ending = Literal["softmax", "sigmoid", "open"]

_SAME = ("Identity", "StopGradient", "EnsureShape", "PreventGradient")
_SUMS = ("BiasAdd", "AddV2", "Add")


@dataclass(frozen=True, slots=True)
class DenseHead:
    """A last dense layer without its softmax. `weights` is (features, n), `bias` is (n,)."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(pictures, n) from (pictures, features)."""
        return np.asarray(features @ self.weights.astype(np.float64) + self.bias)


# The logits of two classes from the one number of a sigmoid, P(the second): 0 and that number.
SINGLE_OUTPUT_HEAD = DenseHead(np.array([[0.0, 1.0]], np.float32), np.zeros(2, np.float32))


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """A graph from pixels, float32, (1, height, width, channels), 0 to 255, to logits.

    `ending` is what stood behind the logits and was cut off; `outputs` is how many logits there
    are. `head` is the last dense layer, None when there is none; it takes `features`, in that
    order. Features that the model concatenates stay apart: in one int8 tensor they would share
    one scale, and those of small range would lose what they say. `layers` are names of Keras's.
    """

    function: Any
    logits: Any
    features: tuple[Any, ...]
    head: DenseHead | None
    ending: Ending
    layers: frozenset[str]

    @property
    def outputs(self) -> int:
        """How many numbers the model gives a picture."""
        return int(self.logits.shape[-1])

    def whole(self) -> Any:
        """The function from pixels to logits."""
        return self.function.prune(self.function.inputs, [self.logits])

    def body(self) -> Any:
        """The function from pixels to the features that the head takes."""
        return self.function.prune(self.function.inputs, list(self.features))

    def layer_of(self, node: str) -> str:
        """The layer that a node, or a tensor that TFLite named after nodes, belongs to."""
        return layer_of(node, self.layers)

    def layers_with(self, operator: str) -> list[str]:
        """The layers that use an operator of TensorFlow, each once, in the order of the graph."""
        found = [op.name for op in self.function.graph.get_operations() if op.type == operator]
        return list(dict.fromkeys(self.layer_of(name) for name in found))


def freeze(
    call: Callable[[Any], Any], shape: tuple[int, int, int], layers: frozenset[str], name: str
) -> FrozenGraph:
    """Freezes `call`, which takes pixels, float32, (1, *shape), and gives one row of numbers.

    Raises ModelError, naming the file `name`, when it gives something else.
    """
    tf = tensorflow()
    signature = tf.TensorSpec((1, *shape), tf.float32, name="pixels")
    constants = optional_import("tensorflow.python.framework.convert_to_constants")
    try:
        traced = tf.function(call, autograph=False).get_concrete_function(signature)
        with silence_tensorflow():  # its optimiser logs what devices there are
            function = constants.convert_variables_to_constants_v2(traced)
    except Exception as error:  # TensorFlow and the model's own code raise anything
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{name}: it cannot be run on a picture of {shape[1]}×{shape[0]}×{shape[2]} "
            f"({reason}); check --input-size, or save the model again"
        ) from error
    outputs = function.outputs
    # A layer of a kernel of its own may not say how many rows it gives for one picture.
    rows = (1, None)
    if len(outputs) != 1 or outputs[0].shape.rank != 2 or outputs[0].shape[0] not in rows:
        shapes = ", ".join(str(output.shape) for output in outputs)
        raise ModelError(
            f"{name}: it gives {shapes or 'nothing'} for one picture; a classifier gives one row "
            "of numbers, a number a class: end it in Dense(n, softmax)"
        )
    logits, ending = _before_ending(_through(outputs[0]))
    head, features = _head(logits)
    return FrozenGraph(function, logits, features, head, ending, layers)


def layer_of(node: str, layers: frozenset[str]) -> str:
    """The innermost of `layers` on the path of a node; the path itself where none is on it."""
    first = node.partition(";")[0]
    path = first.split("/")
    for part in reversed(path):
        # Keras numbers a layer's uses, so that conv_1 is the first use of conv; keras.ops stand in
        # the graph by TensorFlow's names of them, in capitals.
        for candidate in (re.sub(r"_\d+$", "", part), part, part.lower()):
            if candidate in layers:
                return candidate
    return "/".join(path[:-1]) or first


def _through(tensor: Any) -> Any:
    """The tensor behind operators that change nothing."""
    while tensor.op.type in _SAME:
        tensor = tensor.op.inputs[0]
    return tensor


def _before_ending(tensor: Any) -> tuple[Any, Ending]:
    if tensor.op.type == "Softmax":
        return _through(tensor.op.inputs[0]), "softmax"
    if tensor.op.type == "Sigmoid":
        return _through(tensor.op.inputs[0]), "sigmoid"
    return tensor, "open"


def _head(logits: Any) -> tuple[DenseHead | None, tuple[Any, ...]]:
    bias: NDArray[np.float32] | None = None
    product = logits
    if logits.op.type in _SUMS:
        left, right = (_through(side) for side in logits.op.inputs)
        if _constant(left) is not None:
            left, right = right, left
        product, bias = left, _constant(right)
        if bias is None:
            return None, (logits,)
    if product.op.type != "MatMul" or product.op.get_attr("transpose_a"):
        return None, (logits,)
    weights = _constant(product.op.inputs[1])
    if weights is None:
        return None, (logits,)
    if product.op.get_attr("transpose_b"):
        weights = weights.T
    offset = np.zeros(weights.shape[1], np.float32) if bias is None else bias.reshape(-1)
    return DenseHead(weights, offset), _apart(_through(product.op.inputs[0]))


def _constant(tensor: Any) -> NDArray[np.float32] | None:
    value = tensorflow().get_static_value(_through(tensor))
    return None if value is None else np.asarray(value, np.float32)


def _apart(features: Any) -> tuple[Any, ...]:
    """What a concatenation of feature vectors was made from; other features as they are."""
    if features.op.type != "ConcatV2" or features.shape.rank != 2:
        return (features,)
    parts = tuple(_through(part) for part in list(features.op.inputs)[:-1])
    fit = all(part.shape.rank == 2 for part in parts) and len(set(map(id, parts))) == len(parts)
    return parts if fit else (features,)
