"""Waveforms of the simulated system: built, dumped and laid out for a viewer only when they are asked for."""
