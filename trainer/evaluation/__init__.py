"""Figures of a trained model: rates, intervals, calibration, thresholds, claims."""
