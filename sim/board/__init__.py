"""A whole simulated board, from the pins of its serial line to those of its SDRAM chip."""
