"""The daemon: camera frames in, durable verdicts out. It never imports TensorFlow."""

__version__ = "0.1.0"
