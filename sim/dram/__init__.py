"""The simulated memory: an AXI4 slave with the timing of a DRAM, and the presets of real ones."""
