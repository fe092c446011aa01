"""Files and runtimes of TFLite."""
