"""Registers: the map that software sees, and the AXI4-Lite subordinate that is built from it."""
