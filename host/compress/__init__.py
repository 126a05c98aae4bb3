"""Compression and decompression of whole models: planned, cut into slices, resumed."""
