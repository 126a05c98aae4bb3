"""Controller of an SDR SDRAM chip, and the timing of the chips that boards carry."""
