"""Calibration: second moments of the inputs of a model's linear layers, gathered layer by layer."""
