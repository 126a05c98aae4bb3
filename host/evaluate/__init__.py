"""Compressed folders under lm-evaluation-harness, through the plug-in of transformers."""
