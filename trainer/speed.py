"""How long a network will take for a picture on a box, measured here before it is chosen."""

import statistics
import tempfile
import time
from typing import Any

import numpy as np

from edge.errors import MissingPartError, ModelError
from edge.inspection.interpreter import TFLiteClassifier
from trainer.extra import keras, silence, tensorflow
from trainer.networks.terms import HEAD

CALLS = 30


def int8_milliseconds(model: Any) -> float | None:
    """The median time of one picture, in milliseconds, of the network in int8 on one thread.

    The quantisation is for timing only: its ranges come from noise. None when no TFLite runtime
    is installed or the network cannot be quantised.
    """
    tf, k = tensorflow(), keras()
    shape = model.input_shape[1:]
    body = k.Model(model.inputs, model.get_layer(HEAD).input)
    noise = np.random.default_rng(0).integers(0, 256, (4, 1, *shape))

    def serve(pixels: Any) -> Any:
        return body(pixels, training=False)

    archive = k.export.ExportArchive()
    archive.track(body)
    archive.add_endpoint("serve", serve, input_signature=[tf.TensorSpec((1, *shape), tf.float32)])
    try:
        with silence(), tempfile.TemporaryDirectory(prefix="edge-train-") as folder:
            archive.write_out(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([each.astype(np.float32)] for each in noise)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.float32
            classify = TFLiteClassifier(bytes(converter.convert()), model.name)
    except (MissingPartError, ModelError, RuntimeError, ValueError):
        return None
    picture = noise[0, 0].astype(np.uint8)
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        classify(picture)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000
