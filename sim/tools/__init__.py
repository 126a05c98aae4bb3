"""Simulators found, set up and run; designs built for them once."""
