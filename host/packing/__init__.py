"""Packing: matrices to the bit streams that the engine reads, and back."""
