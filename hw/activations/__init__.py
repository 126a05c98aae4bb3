"""Activations: from the beats of a vector in memory to the words that all lanes share."""
