"""Rounding: exact sums drained from the lanes, normalised, rounded and scaled to float32 results."""
