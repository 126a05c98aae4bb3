"""What compression costs in accuracy, beside other quantisers, and how fast the encoder is."""
