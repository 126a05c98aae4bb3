"""Verilator's lint of the designs: ``python -m sim.lint``."""
