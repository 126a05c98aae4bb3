"""What the paper's authors measured, arXiv 2410.10714, the FPGA experiment: 64 bytes a cycle from DDR, 4 bits."""

__all__ = ["CYCLES", "SPEEDUP"]

CYCLES = {("2048x2048", "fp16"): 136_559, ("2048x2048", "seedlm4"): 34_331}
"""Cycles of a matrix in a format."""
SPEEDUP = {"512x512": 3.67, "1024x1024": 3.92, "2048x2048": 3.98}
"""Speed-up over FP16 of 4 bits."""
