"""The matrix-vector product of weights in whatever format: the one place that tells the formats' types apart."""

import numpy as np

from golden import fp16, integers, matvec
from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.spec import ACT_BITS, FP16, BlockFormat, GroupFormat, WeightFormat

__all__ = ["Weights", "factor", "format_of", "product", "restored"]

Weights = CompressedMatrix | GroupMatrix | np.ndarray
"""A weight matrix: of SeedLM, of codes and scales, or float16, (rows, columns)."""


def format_of(weights: Weights) -> WeightFormat:
    """Their format."""
    return FP16 if isinstance(weights, np.ndarray) else weights.fmt


def factor(fmt: WeightFormat, exponent_bias: int = 0, act_bits: int = ACT_BITS) -> np.float32:
    """What one unit of a row sum stands for, but for 2**(shared activation exponent) where there is one."""
    if isinstance(fmt, BlockFormat):
        return matvec.factor(fmt, exponent_bias, act_bits)
    return integers.factor(act_bits) if isinstance(fmt, GroupFormat) else fp16.FACTOR


def product(weights: Weights, x: np.ndarray, act_bits: int = ACT_BITS) -> np.ndarray:
    """``weights @ x`` for a float16 vector, which FP16 weights multiply as it is and others as block floating point of
    ``act_bits`` bits: float32, (rows,).

    Raises
    ------
    ValueError
        When a shape or a dtype is wrong or a value is not finite.
    """
    if isinstance(weights, CompressedMatrix):
        return matvec.matvec(weights, x, act_bits)
    return integers.matvec(weights, x, act_bits) if isinstance(weights, GroupMatrix) else fp16.matvec(weights, x)


def restored(weights: Weights) -> np.ndarray:
    """The numbers that they stand for: float64, (rows, columns)."""
    return weights.astype(np.float64) if isinstance(weights, np.ndarray) else weights.weights()
