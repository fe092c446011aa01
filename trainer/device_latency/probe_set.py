"""The models to time on a box: single operators of several sizes, and small test networks."""

from collections.abc import Iterator

from trainer.device_latency.network_work import DENSE_COPIES
from trainer.device_latency.probe_models import Dtype, ModelWriter, TensorRef

# height and width, channels in, channels out, kernel, stride
_CONVOLUTIONS = (
    (64, 3, 32, 3, 1),
    (128, 3, 32, 3, 2),
    (160, 1, 16, 3, 2),
    (80, 16, 24, 3, 2),
    (40, 24, 32, 3, 1),
    (48, 16, 24, 3, 2),
    (24, 24, 32, 3, 1),
    (24, 32, 64, 3, 1),
    (12, 64, 64, 3, 1),
    (12, 64, 96, 3, 1),
    (8, 96, 128, 3, 1),
    (12, 32, 32, 5, 1),
)
# height and width, channels in and out
_POINTWISE = (
    (64, 16, 96),
    (48, 96, 24),
    (32, 24, 144),
    (24, 144, 40),
    (24, 40, 240),
    (12, 240, 80),
    (12, 80, 480),
    (12, 672, 112),
    (6, 192, 320),
)
# height and width, channels, kernel, stride
_DEPTHWISE = (
    (64, 32, 3, 1),
    (48, 96, 3, 2),
    (24, 144, 3, 1),
    (24, 144, 5, 2),
    (24, 240, 5, 1),
    (12, 240, 3, 2),
    (12, 480, 3, 1),
    (12, 480, 5, 1),
    (12, 672, 5, 2),
)
# channels in and out, and number of layers: together they exceed the processor's cache, as the
# weights of a network do
_DENSE = ((128, 2, 1), (256, 64, 4), (2048, 64, 16), (1024, 256, 16), (12544, 64, 8))
# height and width, channels
_MAPS = ((8, 16), (16, 40), (24, 80), (48, 32), (64, 64))

Sample = tuple[str, bytes]


def operator_samples(dtype: Dtype) -> Iterator[Sample]:
    """The kind of each operator and a model of one or several equal operators."""
    for side, channels_in, channels_out, kernel, stride in _CONVOLUTIONS:
        writer = ModelWriter(dtype)
        x = writer.input((1, side, side, channels_in))
        yield "conv", writer.finish([writer.conv(x, channels_out, kernel, stride)])
    for side, channels_in, channels_out in _POINTWISE:
        writer = ModelWriter(dtype)
        x = writer.input((1, side, side, channels_in))
        yield "pointwise", writer.finish([writer.conv(x, channels_out, 1)])
    for side, channels, kernel, stride in _DEPTHWISE:
        writer = ModelWriter(dtype)
        x = writer.input((1, side, side, channels))
        yield "depthwise", writer.finish([writer.depthwise(x, kernel, stride)])
    for channels_in, channels_out, layers in _DENSE:
        writer = ModelWriter(dtype)
        x = writer.input((1, channels_in))
        yield "dense", writer.finish([writer.dense(x, channels_out) for _ in range(layers)])
    for side, channels in _MAPS:
        yield from _on_map(dtype, side, channels)


def _on_map(dtype: Dtype, side: int, channels: int) -> Iterator[Sample]:
    shape = (1, side, side, channels)
    for kind in ("pool", "mean", "largest", "binary", "relu", "swish", "sigmoid", "cast", "move"):
        writer = ModelWriter(dtype)
        x = writer.input(shape)
        yield kind, writer.finish([_operator(writer, x, kind)])
    writer = ModelWriter(dtype)
    yield "softmax", writer.finish([writer.elementwise(writer.input((1, channels)), "SOFTMAX")])


def _operator(writer: ModelWriter, x: TensorRef, kind: str) -> TensorRef:
    if kind == "pool":
        return writer.pool(x)
    if kind in ("mean", "largest"):
        return writer.reduce(x, "MEAN" if kind == "mean" else "REDUCE_MAX")
    if kind == "binary":
        return writer.add(x, writer.input(x.shape))
    if kind == "move":
        return writer.join(x, writer.input(x.shape))
    if kind == "cast":
        return writer.cast(x)
    names = {"relu": "RELU", "swish": "HARD_SWISH", "sigmoid": "LOGISTIC"}
    return writer.elementwise(x, names[kind])  # type: ignore[arg-type]  # a literal of the signature


def empty_model(dtype: Dtype) -> bytes:
    """A model with almost no work, to time the overhead of an inference."""
    writer = ModelWriter(dtype)
    return writer.finish([writer.elementwise(writer.input((1, 1, 1, 8)), "RELU")])


def probe_networks(dtype: Dtype) -> Iterator[Sample]:
    """Names and models of small networks built like ours, to check the estimates."""
    for side, channels in ((64, 3), (96, 1), (160, 3)):
        writer = ModelWriter(dtype)
        yield f"convolutions, {side} px", _convolutions(writer, side, channels)
    for side in (96, 160, 224):
        writer = ModelWriter(dtype)
        yield f"inverted residuals, {side} px", _residuals(writer, side)
    for side in (64, 128):
        writer = ModelWriter(dtype)
        x = writer.conv(writer.input((1, side, side, 3)), 32, 3)
        x = writer.pool(writer.conv(writer.pool(x), 64, 3))
        flat = writer.flatten(x)
        hidden = writer.dense(flat, 64)
        for _ in range(DENSE_COPIES - 1 if dtype == "int8" else 0):
            hidden = writer.join(hidden, writer.dense(flat, 64))
        yield f"dense, {side} px", writer.finish([writer.dense(hidden, 2)])


def _convolutions(writer: ModelWriter, side: int, channels: int) -> bytes:
    x = writer.input((1, side, side, channels))
    for stage in (((16, 2), (24, 2), (32, 1)), ((48, 1), (64, 1)), ((96, 1),)):
        if x.shape[3] > 24:
            x = writer.pool(x)
        for channels_out, stride in stage:
            x = writer.conv(x, channels_out, 3, stride)
    features = writer.join(writer.reduce(x, "MEAN"), writer.reduce(x, "REDUCE_MAX"))
    return writer.finish([writer.dense(features, 2)])


def _residuals(writer: ModelWriter, side: int) -> bytes:
    x = writer.conv(writer.input((1, side, side, 3)), 32, 3, 2)
    x = writer.conv(writer.depthwise(x, 3), 16, 1)
    for channels, kernel, stride in ((24, 3, 2), (24, 3, 1), (40, 5, 2), (80, 3, 2), (80, 3, 1)):
        expanded = writer.conv(x, 6 * x.shape[3], 1)
        projected = writer.conv(writer.depthwise(expanded, kernel, stride), channels, 1)
        x = writer.add(x, projected) if projected.shape == x.shape else projected
    return writer.finish([writer.dense(writer.reduce(x, "MEAN"), 2)])
