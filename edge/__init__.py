"""The inspection daemon: from camera frames to durable verdicts. It never imports TensorFlow."""

__version__ = "0.1.0"
