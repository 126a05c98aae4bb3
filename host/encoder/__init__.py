"""The encoder: the best seed, exponent and coefficients of every block."""
