"""Times a network in int8 on this machine, before the network is chosen."""

import statistics
import tempfile
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import MissingPartError, ModelError
from edge.inspection import TFLiteClassifier
from trainer.core import keras, silence_stderr, tensorflow
from trainer.networks.terms import HEAD

TIMED_CALLS = 30


def int8_milliseconds(model: Any) -> float | None:
    """The median milliseconds of one picture, for the network in int8 on one thread.

    None when no TFLite runtime is installed or the network cannot be quantised.
    """
    try:
        classify = int8_for_timing(model)
    except (MissingPartError, ModelError, RuntimeError, ValueError):
        return None
    picture = noise(classify.shape)
    seconds = []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter()
        classify(picture)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000


def noise(shape: tuple[int, ...], count: int | None = None) -> NDArray[np.uint8]:
    """A picture of noise, uint8, of `shape`; with `count` that many along a new first axis."""
    wanted = shape if count is None else (count, *shape)
    return np.random.default_rng(0).integers(0, 256, wanted).astype(np.uint8)


def int8_for_timing(model: Any) -> TFLiteClassifier:
    """Converts the network up to its head to int8, for one thread; noise calibrates the ranges.

    Raises MissingPartError without a TFLite runtime, and ModelError, RuntimeError or ValueError
    for a network that cannot be quantised.
    """
    tf, library = tensorflow(), keras()
    shape = model.input_shape[1:]
    body = library.Model(model.inputs, model.get_layer(HEAD).input)
    pictures = noise((1, *shape), 4).astype(np.float32)

    def serve(pixels: Any) -> Any:
        return body(pixels, training=False)

    archive = library.export.ExportArchive()
    archive.track(body)
    archive.add_endpoint("serve", serve, input_signature=[tf.TensorSpec((1, *shape), tf.float32)])
    with silence_stderr(), tempfile.TemporaryDirectory(prefix="edge-train-") as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture] for picture in pictures)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.float32
        return TFLiteClassifier(bytes(converter.convert()), model.name)
