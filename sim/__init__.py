"""Simulation: testbenches, the DRAM model, and the engine under Verilator or Icarus as a device for the host."""
