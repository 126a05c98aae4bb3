"""The encoder of the trellis code."""
