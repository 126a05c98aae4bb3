"""The families of weight formats, one file for each; :mod:`golden.spec` has their registry."""
