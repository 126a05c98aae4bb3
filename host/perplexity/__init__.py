"""What a model says with weights of a code: perplexity and its kin, on the same text for every code."""
