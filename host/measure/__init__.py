"""What is measured in RTL or predicted by the cycle model: layers, rooflines, sweeps."""
