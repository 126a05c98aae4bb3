"""Error feedback: the blocks of a row make up for each other's errors, where statistics of the inputs are known."""
