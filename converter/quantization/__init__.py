"""A frozen graph as a .tflite file, by each quantization scheme."""
