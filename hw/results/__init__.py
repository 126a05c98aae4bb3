"""Results: sums drained from the lanes, normalised, scaled, rounded to float32."""
