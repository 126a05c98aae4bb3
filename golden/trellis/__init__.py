"""The trellis code: weights as windows of a stream of bits, which seed the LFSR."""
