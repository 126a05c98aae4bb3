"""DMA: regions read in bursts that keep the 4 KB rule, results written, beats cut into words, and descriptors."""
