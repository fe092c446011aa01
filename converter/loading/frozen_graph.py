"""A classifier of any format as one frozen TensorFlow graph, and the places where it is cut.

Frozen Keras models, nested or not, and SavedModels have the same form. So the softmax, the last
dense layer and its features are found in the graph, not among layers.
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

_IDENTITY_OPERATORS = ("Identity", "StopGradient", "EnsureShape", "PreventGradient")
_PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_ADDITIONS = ("BiasAdd", "AddV2", "Add")


@dataclass(frozen=True, slots=True)
class DenseHead:
    """The last dense layer without its softmax. `weights` is (features, n), `bias` is (n,)."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(pictures, n) from (pictures, features)."""
        return np.asarray(features @ self.weights.astype(np.float64) + self.bias)


# Turns the logit of a sigmoid, for P(second class), into the logits of two classes: 0 and itself.
SINGLE_OUTPUT_HEAD = DenseHead(np.array([[0.0, 1.0]], np.float32), np.zeros(2, np.float32))


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """A graph from pixels, float32, (1, height, width, channels), 0 to 255, to logits.

    - `ending`: the activation that followed the logits and was cut off.
    - `head`: the last dense layer, or None; its inputs are `features`, in that order.
    - `features`: inputs of a concatenation stay separate. In one int8 tensor they would share
      one scale, and features of small range would lose their precision.
    - `layers`: the names of the Keras layers.
    """

    function: Any
    logits: Any
    features: tuple[Any, ...]
    head: DenseHead | None
    ending: Ending
    layers: frozenset[str]

    @property
    def precisions(self) -> frozenset[str]:
        """The types in which its convolutions and dense layers compute."""
        operations = self.function.graph.get_operations()
        return frozenset(op.outputs[0].dtype.name for op in operations if op.type in _PRODUCTS)

    @property
    def outputs(self) -> int:
        """The number of logits per picture."""
        return int(self.logits.shape[-1])

    def whole(self) -> Any:
        """The function from pixels to logits."""
        return self.function.prune(self.function.inputs, [self.logits])

    def body(self) -> Any:
        """The function from pixels to the features of the head."""
        return self.function.prune(self.function.inputs, list(self.features))

    def layer_of(self, node: str) -> str:
        """The layer of a node, or of a tensor that TFLite named after nodes."""
        return layer_of(node, self.layers)

    def layers_with(self, operator: str) -> list[str]:
        """The layers that use a TensorFlow operator, each once, in graph order."""
        found = [op.name for op in self.function.graph.get_operations() if op.type == operator]
        return list(dict.fromkeys(self.layer_of(name) for name in found))


def freeze(
    call: Callable[[Any], Any], shape: tuple[int, int, int], layers: frozenset[str], name: str
) -> FrozenGraph:
    """Freezes `call`, which maps pixels, float32, (1, *shape), to one row of numbers.

    Raises ModelError, with the file `name`, when the output has another shape.
    """
    tf = tensorflow()
    signature = tf.TensorSpec((1, *shape), tf.float32, name="pixels")
    constants = optional_import("tensorflow.python.framework.convert_to_constants")
    try:
        traced = tf.function(call, autograph=False).get_concrete_function(signature)
        with silence_tensorflow():  # its optimiser logs the devices
            function = constants.convert_variables_to_constants_v2(traced)
    except Exception as error:  # TensorFlow and the model's code raise any class
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{name}: cannot run on a picture of {shape[1]}×{shape[0]}×{shape[2]} "
            f"({reason}); check --input-size, or save the model again"
        ) from error
    outputs = function.outputs
    # A layer with a custom kernel may leave the number of rows open.
    rows = (1, None)
    if len(outputs) != 1 or outputs[0].shape.rank != 2 or outputs[0].shape[0] not in rows:
        shapes = ", ".join(str(output.shape) for output in outputs)
        raise ModelError(
            f"{name}: its output for one picture is {shapes or 'nothing'}; a classifier gives one "
            "row with one number per class: end it in Dense(n, softmax)"
        )
    logits, ending = _cut_activation(_skip_identities(outputs[0]))
    head, features = _find_head(logits)
    return FrozenGraph(function, logits, features, head, ending, layers)


def layer_of(node: str, layers: frozenset[str]) -> str:
    """The innermost of `layers` on the path of a node, or the path when none is on it."""
    first = node.partition(";")[0]
    path = first.split("/")
    for part in reversed(path):
        # Keras numbers the uses of a layer: conv_1 is the first use of conv. keras.ops keep
        # TensorFlow's names, in capitals.
        for candidate in (re.sub(r"_\d+$", "", part), part, part.lower()):
            if candidate in layers:
                return candidate
    return "/".join(path[:-1]) or first


def _skip_identities(tensor: Any) -> Any:
    """The input of a chain of operators that change no value."""
    while tensor.op.type in _IDENTITY_OPERATORS:
        tensor = tensor.op.inputs[0]
    return tensor


def _cut_activation(tensor: Any) -> tuple[Any, Ending]:
    if tensor.op.type == "Softmax":
        return _skip_identities(tensor.op.inputs[0]), "softmax"
    if tensor.op.type == "Sigmoid":
        return _skip_identities(tensor.op.inputs[0]), "sigmoid"
    return tensor, "open"


def _find_head(logits: Any) -> tuple[DenseHead | None, tuple[Any, ...]]:
    bias: NDArray[np.float32] | None = None
    product = logits
    if logits.op.type in _ADDITIONS:
        left, right = (_skip_identities(side) for side in logits.op.inputs)
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
    return DenseHead(weights, offset), _concatenated_parts(_skip_identities(product.op.inputs[0]))


def _constant(tensor: Any) -> NDArray[np.float32] | None:
    value = tensorflow().get_static_value(_skip_identities(tensor))
    return None if value is None else np.asarray(value, np.float32)


def _concatenated_parts(features: Any) -> tuple[Any, ...]:
    """The inputs of a concatenation of feature vectors, or `features` itself."""
    if features.op.type != "ConcatV2" or features.shape.rank != 2:
        return (features,)
    parts = tuple(_skip_identities(part) for part in list(features.op.inputs)[:-1])
    fit = all(part.shape.rank == 2 for part in parts) and len(set(map(id, parts))) == len(parts)
    return parts if fit else (features,)
