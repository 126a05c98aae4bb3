"""Results: the lanes' sums are drained, normalised, scaled and rounded to float32."""
