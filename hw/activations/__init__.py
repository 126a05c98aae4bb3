"""Activations: the beats of a vector in memory become the words that all lanes share."""
