"""A model that says a sentence through the simulated engine."""
