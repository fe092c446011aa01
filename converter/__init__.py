"""From a trained Keras model to the one file that a box judges with: quantised, compared, gated."""
